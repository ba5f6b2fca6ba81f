# Affiant as an image: built here, run as an unprivileged user on a read-only root, without a shell.
#   docker build -t affiant .
#   docker run --read-only --cap-drop ALL -v affiant:/data -p 127.0.0.1:8400:8400 affiant
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin affiant && mkdir -p /out/data /out/etc/ssl/certs \
    && cp target/release/affiant /out/affiant && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM debian:12-slim
COPY --from=build /out/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/affiant /usr/local/bin/affiant
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
VOLUME /data
EXPOSE 8400
ENV AFFIANT_DATA=/data AFFIANT_LISTEN=0.0.0.0:8400 AFFIANT_LOG_FORMAT=json
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/usr/local/bin/affiant", "health"]
ENTRYPOINT ["/usr/local/bin/affiant"]
CMD ["serve"]
