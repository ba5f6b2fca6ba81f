//! Commits events of many clients together: one wait for the disk serves them all.

use crate::clock::Clock;
use crate::flow::FlowError;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_store::{Answer, Claim, NewEvent, Store};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

/// Events written by one transaction at most.
const TOGETHER: usize = 500;
/// Events of an order that is small: many of them are written together, and large ones one by one between them.
const SMALL: usize = 20;

/// What of a request is stored with its events, once it is known how many were new.
pub type Answering = Box<dyn FnOnce(u64) -> Option<(Claim, Answer)> + Send>;

struct Order {
    project: ProjectId,
    source: String,
    asset: Option<AssetKey>,
    events: Vec<NewEvent>,
    answering: Option<Answering>,
    done: oneshot::Sender<Result<u64, FlowError>>,
}

/// Commits events of many clients together: one wait for the disk serves them all. Whoever sends few waits for one of those who send many at
/// most.
#[derive(Clone)]
pub struct Writer {
    small: mpsc::Sender<Order>,
    large: mpsc::Sender<Order>,
}

impl Writer {
    /// Starts the writer's task; it ends when the last handle is dropped.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> Self {
        let (small, mut few) = mpsc::channel::<Order>(256);
        let (large, mut many) = mpsc::channel::<Order>(16);
        tokio::spawn(async move {
            loop {
                // In turns: neither waits for more than one transaction of the other.
                let first = tokio::select! {
                    biased;
                    Some(first) = few.recv() => first,
                    Some(first) = many.recv() => {
                        commit(&store, &clock, vec![first]).await;
                        continue;
                    }
                    else => break,
                };
                let mut batch = vec![first];
                let mut size = batch[0].events.len();
                while size < TOGETHER
                    && let Ok(next) = few.try_recv()
                {
                    size += next.events.len();
                    batch.push(next);
                }
                commit(&store, &clock, batch).await;
                if let Ok(next) = many.try_recv() {
                    commit(&store, &clock, vec![next]).await;
                }
            }
        });
        Self { small, large }
    }

    /// Stores events; comes back when they are durable, with how many were new.
    ///
    /// # Errors
    /// [`FlowError`] where the database fails.
    pub async fn write(
        &self,
        project: ProjectId,
        source: &str,
        asset: Option<AssetKey>,
        (events, answering): (Vec<NewEvent>, Option<Answering>),
    ) -> Result<u64, FlowError> {
        let (done, answer) = oneshot::channel();
        let order = Order {
            project,
            source: source.to_owned(),
            asset,
            events,
            answering,
            done,
        };
        let lane = if order.events.len() > SMALL {
            &self.large
        } else {
            &self.small
        };
        lane.send(order).await.map_err(|_| FlowError::Worker)?;
        answer.await.map_err(|_| FlowError::Worker)?
    }
}

/// One transaction for each project, source and asset.
async fn commit(store: &Store, clock: &Clock, batch: Vec<Order>) {
    let mut groups: HashMap<(ProjectId, String, Option<AssetKey>), Vec<Order>> = HashMap::new();
    for order in batch {
        groups
            .entry((order.project, order.source.clone(), order.asset.clone()))
            .or_default()
            .push(order);
    }
    for ((project, source, asset), mut orders) in groups {
        let sizes: Vec<usize> = orders.iter().map(|order| order.events.len()).collect();
        let events: Vec<NewEvent> = orders.iter_mut().flat_map(|order| order.events.drain(..)).collect();
        let mut answering: Vec<Option<Answering>> = orders.iter_mut().map(|order| order.answering.take()).collect();
        let answers = |created: &[bool]| {
            let each = answering.drain(..).zip(shares(created, &sizes));
            each.map(|(answering, new)| answering?(new)).collect()
        };
        let scoped = store.project(project);
        let stored = scoped
            .store_events(&source, asset.as_ref(), &events, answers, clock.now())
            .await;
        match stored {
            Ok((created, answered)) => {
                let each = orders.into_iter().zip(shares(&created, &sizes)).zip(answered);
                for ((order, new), has_answer) in each {
                    // Who took the claim over tells what is kept under the key.
                    let _ = order
                        .done
                        .send(if has_answer { Ok(new) } else { Err(FlowError::KeyInUse) });
                }
            }
            Err(error) => {
                for order in orders {
                    let _ = order.done.send(Err(error.clone().into()));
                }
            }
        }
    }
}

/// How many events of each order were new: of two clients that send the same event together, one created it.
fn shares(created: &[bool], sizes: &[usize]) -> Vec<u64> {
    let mut rest = created;
    let mut shares = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (own, others) = rest.split_at((*size).min(rest.len()));
        shares.push(own.iter().filter(|is_new| **is_new).count() as u64);
        rest = others;
    }
    shares
}
