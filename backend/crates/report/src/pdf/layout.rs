//! Text and tables on A4 pages: wraps, breaks across pages, repeats table heads. Positions are points from the top left.

use affiant_domain::Instant;
use printpdf::{
    Color, FontId, Line, LinePoint, Mm, Op, PageAnnotId, PageAnnotation, PaintMode, ParsedFont, PdfDocument, PdfFont,
    PdfFontHandle, PdfPage, PdfSaveOptions, Point, Polygon, PolygonRing, Pt, Rgb, TextItem, WindingOrder,
};
use std::collections::HashMap;

pub(crate) const WIDTH: f32 = 595.28;
const HEIGHT: f32 = 841.89;
pub(crate) const LEFT: f32 = 51.0;
pub(crate) const INNER: f32 = WIDTH - 2.0 * LEFT;
const TOP: f32 = 60.0;
const BOTTOM: f32 = 62.0;

static REGULAR: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");

/// A colour, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ink(pub(crate) u8, pub(crate) u8, pub(crate) u8);

pub(crate) const BLACK: Ink = Ink(23, 28, 38);
pub(crate) const GREY: Ink = Ink(92, 100, 114);
pub(crate) const PALE: Ink = Ink(243, 245, 248);
pub(crate) const RULE: Ink = Ink(214, 219, 227);
pub(crate) const ACCENT: Ink = Ink(31, 83, 160);

impl Ink {
    fn color(self) -> Color {
        let part = |value: u8| f32::from(value) / 255.0;
        Color::Rgb(Rgb {
            r: part(self.0),
            g: part(self.1),
            b: part(self.2),
            icc_profile: None,
        })
    }
}

/// Weight of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Face {
    Regular,
    Bold,
}

struct Type {
    font: ParsedFont,
    id: FontId,
    widths: HashMap<char, f32>,
}

impl Type {
    /// The name is fixed, where the library would draw one at random, so that equal reports are equal files.
    fn new(document: &mut PdfDocument, name: &str, bytes: &[u8]) -> Option<Self> {
        let font = ParsedFont::from_bytes(bytes, 0, &mut Vec::new())?;
        let id = FontId(name.to_owned());
        document
            .resources
            .fonts
            .map
            .insert(id.clone(), PdfFont::new(font.clone()));
        Some(Self {
            font,
            id,
            widths: HashMap::new(),
        })
    }

    fn has(&self, c: char) -> bool {
        self.font
            .lookup_glyph_index(u32::from(c))
            .is_some_and(|glyph| glyph != 0)
    }

    /// Width at one point of size.
    fn advance(&mut self, c: char) -> f32 {
        if let Some(width) = self.widths.get(&c) {
            return *width;
        }
        let glyph = self.font.lookup_glyph_index(u32::from(c)).unwrap_or(0);
        let units = f32::from(self.font.pdf_font_metrics.units_per_em.max(1));
        let width = self
            .font
            .get_glyph_width(glyph)
            .map_or(0.6, |width| f32::from(width) / units);
        self.widths.insert(c, width);
        width
    }
}

/// A column of a table.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Share of the inner width.
    pub(crate) share: f32,
    pub(crate) right: bool,
}

/// A cell: text, its ink and face.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) ink: Ink,
    pub(crate) face: Face,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            ink: BLACK,
            face: Face::Regular,
        }
    }
}

/// A document in the making.
pub(crate) struct Layout {
    document: PdfDocument,
    regular: Type,
    bold: Type,
    pages: Vec<Vec<Op>>,
    footer: String,
    /// Distance of the next line from the top of the page.
    pub(crate) y: f32,
    /// Characters that no embedded font has, shown by their number.
    pub(crate) missing: bool,
}

impl Layout {
    pub(crate) fn new(title: &str, footer: &str) -> Option<Self> {
        let mut document = PdfDocument::new(title);
        let regular = Type::new(&mut document, "Regular", REGULAR)?;
        let bold = Type::new(&mut document, "Bold", BOLD)?;
        let layout = Self {
            document,
            regular,
            bold,
            pages: vec![Vec::new()],
            footer: footer.to_owned(),
            y: TOP,
            missing: false,
        };
        Some(layout)
    }

    fn face(&mut self, face: Face) -> &mut Type {
        match face {
            Face::Regular => &mut self.regular,
            Face::Bold => &mut self.bold,
        }
    }

    fn put(&mut self, op: Op) {
        if let Some(page) = self.pages.last_mut() {
            page.push(op);
        }
    }

    /// Text that the fonts can show: what they lack is written as its number, never dropped.
    pub(crate) fn shown(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' | '\t' => out.push(' '),
                c if c.is_control() => {}
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
                c if self.regular.has(c) && self.bold.has(c) => out.push(c),
                c => {
                    self.missing = true;
                    out.push_str(&format!("[U+{:04X}]", u32::from(c)));
                }
            }
        }
        out
    }

    pub(crate) fn width(&mut self, text: &str, face: Face, size: f32) -> f32 {
        let kind = self.face(face);
        text.chars().map(|c| kind.advance(c)).sum::<f32>() * size
    }

    /// Breaks text into lines no wider than so many points; a word that is wider is broken inside.
    pub(crate) fn wrap(&mut self, text: &str, face: Face, size: f32, width: f32) -> Vec<String> {
        let text = self.shown(text);
        let mut lines = Vec::new();
        let (mut line, mut used) = (String::new(), 0.0);
        let space = self.width(" ", face, size);
        for word in text.split_whitespace() {
            let needs = self.width(word, face, size);
            if !line.is_empty() && used + space + needs <= width {
                line.push(' ');
                line.push_str(word);
                used += space + needs;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            used = 0.0;
            for c in word.chars() {
                let advance = self.face(face).advance(c) * size;
                if used + advance > width && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(c);
                used += advance;
            }
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(line);
        }
        lines
    }

    /// One line of text; `x` is its left end, or its right end where `right` is set.
    pub(crate) fn line_at(&mut self, x: f32, y: f32, text: &str, (face, size, ink): (Face, f32, Ink), right: bool) {
        let x = if right { x - self.width(text, face, size) } else { x };
        let font = PdfFontHandle::External(self.face(face).id.clone());
        self.put(Op::StartTextSection);
        self.put(Op::SetTextCursor {
            pos: Point {
                x: Pt(x),
                y: Pt(HEIGHT - y),
            },
        });
        self.put(Op::SetFont { font, size: Pt(size) });
        self.put(Op::SetFillColor { col: ink.color() });
        self.put(Op::ShowText {
            items: vec![TextItem::Text(text.to_owned())],
        });
        self.put(Op::EndTextSection);
    }

    /// A filled shape.
    pub(crate) fn fill(&mut self, points: &[(f32, f32)], ink: Ink) {
        let points = corners(points);
        self.put(Op::SetFillColor { col: ink.color() });
        self.put(Op::DrawPolygon {
            polygon: Polygon {
                rings: vec![PolygonRing { points }],
                mode: PaintMode::Fill,
                winding_order: WindingOrder::NonZero,
            },
        });
    }

    pub(crate) fn bar(&mut self, x: f32, y: f32, width: f32, height: f32, ink: Ink) {
        self.fill(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height)], ink);
    }

    /// A polyline.
    pub(crate) fn stroke(&mut self, points: &[(f32, f32)], thickness: f32, ink: Ink) {
        let points = corners(points);
        self.put(Op::SetOutlineColor { col: ink.color() });
        self.put(Op::SetOutlineThickness { pt: Pt(thickness) });
        self.put(Op::DrawLine {
            line: Line {
                points,
                is_closed: false,
            },
        });
    }

    pub(crate) fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
    }

    /// Begins a new page unless so many points are left.
    pub(crate) fn need(&mut self, points: f32) {
        if self.y + points > HEIGHT - BOTTOM {
            self.new_page();
        }
    }

    /// A heading with a bookmark.
    pub(crate) fn heading(&mut self, text: &str) {
        self.need(70.0);
        self.bookmark(text);
        self.y += 18.0;
        self.line_at(LEFT, self.y, text, (Face::Bold, 15.0, BLACK), false);
        self.y += 8.0;
        self.bar(LEFT, self.y, 34.0, 2.2, ACCENT);
        self.y += 18.0;
    }

    /// A bookmark; bookmarks are listed in the order of their names, so the names are numbers.
    pub(crate) fn bookmark(&mut self, text: &str) {
        let marks = &mut self.document.bookmarks.map;
        let name = PageAnnotId(format!("{:04}", marks.len()));
        marks.insert(
            name,
            PageAnnotation {
                name: text.to_owned(),
                page: self.pages.len(),
            },
        );
    }

    /// A paragraph over the inner width.
    pub(crate) fn paragraph(&mut self, text: &str, (face, size, ink): (Face, f32, Ink)) {
        for line in self.wrap(text, face, size, INNER) {
            self.need(size * 1.5);
            self.y += size * 1.45;
            self.line_at(LEFT, self.y, &line, (face, size, ink), false);
        }
        self.y += size * 0.6;
    }

    /// A table; rows break across pages between rows, or inside one that is higher than a page, and the head is repeated.
    pub(crate) fn table(&mut self, columns: &[Column], rows: impl IntoIterator<Item = Vec<Cell>>) {
        const SIZE: f32 = 7.6;
        const LEAD: f32 = 10.2;
        const PAD: f32 = 4.0;
        self.need(60.0);
        self.head(columns);
        for (n, row) in rows.into_iter().enumerate() {
            let mut wrapped: Vec<(Vec<String>, Ink, Face)> = Vec::with_capacity(row.len());
            for (cell, column) in row.into_iter().zip(columns) {
                let lines = self.wrap(&cell.text, cell.face, SIZE, column.share * INNER - 2.0 * PAD);
                wrapped.push((lines, cell.ink, cell.face));
            }
            let mut left = wrapped.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(1);
            let mut from = 0;
            while left > 0 {
                let room = ((HEIGHT - BOTTOM - self.y - 2.0 * PAD) / LEAD).floor().max(0.0);
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a small positive number of lines"
                )]
                let fits = room as usize;
                if fits < left.min(12) {
                    self.new_page();
                    self.head(columns);
                    continue;
                }
                let now = left.min(fits);
                #[allow(clippy::cast_precision_loss, reason = "a small number of lines")]
                let height = now as f32 * LEAD + 2.0 * PAD - 2.0;
                if n % 2 == 1 {
                    self.bar(LEFT, self.y, INNER, height, PALE);
                }
                let mut x = LEFT;
                for ((lines, ink, face), column) in wrapped.iter().zip(columns) {
                    let width = column.share * INNER;
                    let mut y = self.y + PAD - 3.0;
                    for line in lines.iter().skip(from).take(now) {
                        y += LEAD;
                        let at = if column.right { x + width - PAD } else { x + PAD };
                        self.line_at(at, y, line, (*face, SIZE, *ink), column.right);
                    }
                    x += width;
                }
                self.y += height;
                from += now;
                left -= now;
            }
        }
        self.bar(LEFT, self.y, INNER, 0.6, RULE);
        self.y += 14.0;
    }

    fn head(&mut self, columns: &[Column]) {
        let mut x = LEFT;
        self.y += 4.0;
        for column in columns {
            let width = column.share * INNER;
            let at = if column.right { x + width - 4.0 } else { x + 4.0 };
            self.line_at(at, self.y + 8.0, column.title, (Face::Bold, 7.4, GREY), column.right);
            x += width;
        }
        self.y += 13.0;
        self.bar(LEFT, self.y, INNER, 0.9, RULE);
        self.y += 1.0;
    }

    /// Puts footers on and gives the bytes.
    pub(crate) fn finish(mut self, at: Instant, options: &PdfSaveOptions) -> Vec<u8> {
        let total = self.pages.len();
        let footer = self.footer.clone();
        let footer = self
            .wrap(&footer, Face::Regular, 7.0, INNER - 80.0)
            .into_iter()
            .next()
            .unwrap_or_default();
        let mut pages = std::mem::take(&mut self.pages);
        for (n, page) in pages.iter_mut().enumerate() {
            self.pages = vec![std::mem::take(page)];
            if n > 0 {
                self.bar(LEFT, HEIGHT - 44.0, INNER, 0.6, RULE);
                self.line_at(LEFT, HEIGHT - 32.0, &footer, (Face::Regular, 7.0, GREY), false);
                let number = format!("Page {} of {total}", n + 1);
                self.line_at(WIDTH - LEFT, HEIGHT - 32.0, &number, (Face::Regular, 7.0, GREY), true);
            }
            *page = self.pages.pop().unwrap_or_default();
        }
        let when = printpdf::OffsetDateTime::from_unix_timestamp(at.timestamp());
        let info = &mut self.document.metadata.info;
        if let Ok(when) = when {
            info.creation_date = when;
            info.modification_date = when;
            info.metadata_date = when;
        }
        "Affiant".clone_into(&mut info.creator);
        "Affiant".clone_into(&mut info.producer);
        "Affiant".clone_into(&mut info.author);
        let pages = pages
            .into_iter()
            .map(|ops| PdfPage::new(Mm(210.0), Mm(297.0), ops))
            .collect();
        self.document.with_pages(pages).save(options, &mut Vec::new())
    }
}

/// Points from the top of the page as a PDF counts them, from its foot.
fn corners(points: &[(f32, f32)]) -> Vec<LinePoint> {
    points
        .iter()
        .map(|(x, y)| LinePoint {
            p: Point {
                x: Pt(*x),
                y: Pt(HEIGHT - y),
            },
            bezier: false,
        })
        .collect()
}
