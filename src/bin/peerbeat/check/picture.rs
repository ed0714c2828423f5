//! The estate as one SVG picture: a box for each application, an arrow for each link, from the one
//! that dials to the one that is dialled.
//!
//! Applications that dial are on the left of those they dial. On an arrow are the heartbeat-times
//! in force, and each side's limit; a peer that matches none of the files has a dashed box.

use std::collections::BTreeMap;
use std::time::Duration;

use peerbeat::protocol::Escaped;
use peerbeat::text::Seconds;

use super::ends::{End, Link};
use super::{Estate, File};

/// The whole picture.
pub(super) fn of(estate: &Estate) -> String {
    let boxes = place(estate);
    let right = boxes.iter().map(|b| b.column).max().unwrap_or(0);
    let bottom = boxes.iter().map(|b| b.y + b.height).max().unwrap_or(0);
    let (width, height) = (x_of(right) + WIDTH + MARGIN, bottom + MARGIN + 24);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"10\" refY=\"5\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\">\
         <path d=\"M0 0L10 5L0 10z\" fill=\"#333\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    // Labels come after all lines, so that none is crossed out.
    let mut labels = String::new();
    for (index, link) in estate.compared.links.iter().enumerate() {
        draw_link(&mut svg, &mut labels, &boxes, estate, index, link);
    }
    for (index, unmet) in estate.compared.unmet.iter().enumerate() {
        draw_unmet(&mut svg, &boxes, unmet.file, estate.files.len() + index);
    }
    svg += &labels;
    for found in &boxes {
        draw_box(&mut svg, found);
    }
    let y = height - 12;
    text(
        &mut svg,
        MARGIN,
        y,
        "start",
        "#555",
        "An arrow points from the one that dials. Dashed: met by none of these files.",
    );
    svg += "</svg>\n";
    svg
}

/// A box, and what is written in it.
struct Placed {
    column: usize,
    y: usize,
    height: usize,
    title: String,
    lines: [String; 2],
    is_dashed: bool,
}

impl Placed {
    fn left(&self) -> usize {
        x_of(self.column)
    }

    fn middle(&self) -> usize {
        self.y + self.height / 2
    }
}

/// The boxes: applications in the order of the files, then the peers that are not met.
fn place(estate: &Estate) -> Vec<Placed> {
    let columns = columns(estate);
    let mut boxes: Vec<Placed> = Vec::new();
    for (index, (file, column)) in estate.files.iter().zip(&columns).enumerate() {
        boxes.push(Placed {
            column: *column,
            y: 0,
            height: HEIGHT.max(PER_LINK * most_links(estate, index)),
            title: file.config.name().to_owned(),
            lines: [file.name.clone(), listens(file)],
            is_dashed: false,
        });
    }
    for unmet in &estate.compared.unmet {
        let file = &estate.files[unmet.file];
        let peer = &file.config.peers()[unmet.peer];
        let own = columns[unmet.file];
        let (column, line) = match peer.addresses().first() {
            Some(address) => (own + 1, address.to_string()),
            None => (own.saturating_sub(1), format!("waited for by {}", file.config.name())),
        };
        boxes.push(Placed {
            column,
            y: 0,
            height: HEIGHT,
            title: peer.name().to_owned(),
            lines: [line, "not in these files".to_owned()],
            is_dashed: true,
        });
    }
    stack(&mut boxes);
    boxes
}

/// Puts the boxes of a column one below the other; a column that is not full is centred.
fn stack(boxes: &mut [Placed]) {
    let mut bottoms: BTreeMap<usize, usize> = BTreeMap::new();
    for found in boxes.iter_mut() {
        let bottom = bottoms.entry(found.column).or_default();
        found.y = *bottom;
        *bottom += found.height + GAP_Y;
    }
    let lowest = bottoms.values().max().copied().unwrap_or(0);
    for found in boxes {
        found.y += MARGIN + (lowest - bottoms[&found.column]) / 2;
    }
}

/// How many links begin or end at a file, whichever are more.
fn most_links(estate: &Estate, file: usize) -> usize {
    let links = &estate.compared.links;
    let dialled = links.iter().filter(|link| link.dialler.file == file).count();
    dialled.max(links.iter().filter(|link| link.acceptor.file == file).count())
}

/// The column of each file: one to the right of those that dial it. If they dial in a circle
/// some arrows point back.
fn columns(estate: &Estate) -> Vec<usize> {
    // A peer that waits and is not met is left of its file.
    let mut columns = vec![0; estate.files.len()];
    for unmet in &estate.compared.unmet {
        let peer = &estate.files[unmet.file].config.peers()[unmet.peer];
        if peer.addresses().is_empty() {
            columns[unmet.file] = 1;
        }
    }
    for _ in 0..estate.files.len().min(COLUMNS_MAX) {
        for link in &estate.compared.links {
            let (from, to) = (link.dialler.file, link.acceptor.file);
            if from != to && columns[to] <= columns[from] && columns[from] < COLUMNS_MAX {
                columns[to] = columns[from] + 1;
            }
        }
    }
    columns
}

fn listens(file: &File) -> String {
    match file.config.port() {
        None => "does not listen".to_owned(),
        Some(peerbeat::config::Port::Fixed(port)) => format!("listens on {port}"),
        Some(peerbeat::config::Port::Auto) => "listens on any port".to_owned(),
    }
}

fn draw_box(svg: &mut String, found: &Placed) {
    let (x, y) = (found.left(), found.y);
    let top = y + (found.height - HEIGHT) / 2;
    let (fill, stroke) = match found.is_dashed {
        true => ("white", "stroke=\"#a33\" stroke-dasharray=\"5 4\""),
        false => ("#eef4fb", "stroke=\"#246\""),
    };
    *svg += &format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{}\" rx=\"6\" \
         fill=\"{fill}\" {stroke}/>\n",
        found.height
    );
    let middle = x + WIDTH / 2;
    *svg += &format!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\n",
        top + 22,
        shown(&found.title, 26)
    );
    for (line, y) in found.lines.iter().zip([top + 41, top + 58]) {
        text(svg, middle, y, "middle", "#333", &shown(line, 30));
    }
}

fn draw_link(
    svg: &mut String,
    labels: &mut String,
    boxes: &[Placed],
    estate: &Estate,
    index: usize,
    link: &Link,
) {
    let (from, to) = (&boxes[link.dialler.file], &boxes[link.acceptor.file]);
    let y1 = from.y + spread(estate, index, from.height, true);
    let y2 = to.y + spread(estate, index, to.height, false);
    let is_forward = from.column < to.column;
    let (x1, x2) = match is_forward {
        true => (from.left() + WIDTH, to.left()),
        false => (from.left() + WIDTH, to.left() + WIDTH),
    };
    // Straight as far as the labels go.
    let turn = x1 + LABEL;
    let (c1, c2) = match is_forward {
        true => (turn + (x2 - turn) / 2, turn + (x2 - turn) / 2),
        false => (turn + BEND, x2.max(turn) + BEND),
    };
    *svg += &format!(
        "<path d=\"M{x1} {y1}L{turn} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\" fill=\"none\" \
         stroke=\"#333\" marker-end=\"url(#head)\"/>\n"
    );
    let values = |end: &End| {
        let slack = estate.files[end.file].config.peers()[end.peer].slack().value;
        in_words(end.heartbeat_time, slack)
    };
    let (near, far) = (values(&link.dialler), values(&link.acceptor));
    let x = x1 + 8;
    halo(labels, x, y1 - 5, &shown(&link.address, 36));
    if near == far {
        return halo(labels, x, y1 + 14, &near);
    }
    halo(labels, x, y1 + 14, &format!("here {near}"));
    halo(labels, x, y1 + 28, &format!("there {far}"));
}

/// Where on a box the arrow of a link begins or ends, so that those of one box are apart.
fn spread(estate: &Estate, index: usize, height: usize, at_dialler: bool) -> usize {
    let file = |link: &Link| if at_dialler { link.dialler.file } else { link.acceptor.file };
    let links = &estate.compared.links;
    let same = links.iter().filter(|link| file(link) == file(&links[index])).count();
    let before = links[..index].iter().filter(|link| file(link) == file(&links[index])).count();
    height * (before + 1) / (same + 1)
}

fn draw_unmet(svg: &mut String, boxes: &[Placed], file: usize, unmet: usize) {
    let (own, other) = (&boxes[file], &boxes[unmet]);
    let (from, to) = if own.column < other.column { (own, other) } else { (other, own) };
    *svg += &format!(
        "<path d=\"M{} {}L{} {}\" fill=\"none\" stroke=\"#a33\" stroke-dasharray=\"5 4\" \
         marker-end=\"url(#head)\"/>\n",
        from.left() + WIDTH,
        from.middle(),
        to.left(),
        to.middle()
    );
}

fn in_words(heartbeat_time: Option<Duration>, slack: Duration) -> String {
    match heartbeat_time {
        Some(time) => format!("every {}, down after {}", Seconds(time), Seconds(time + slack)),
        None => "no heartbeats".to_owned(),
    }
}

fn text(svg: &mut String, x: usize, y: usize, anchor: &str, colour: &str, words: &str) {
    *svg += &format!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-size=\"12\" \
         fill=\"{colour}\">{words}</text>\n"
    );
}

/// Text that stays readable over a line.
fn halo(svg: &mut String, x: usize, y: usize, words: &str) {
    *svg += &format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"11\" stroke=\"white\" stroke-width=\"4\" \
         paint-order=\"stroke\" fill=\"#222\">{words}</text>\n"
    );
}

/// Text of a file as SVG shows it; a long one loses its beginning, which says less than the end.
fn shown(text: &str, max: usize) -> String {
    let text = Escaped(text).to_string();
    let count = text.chars().count();
    let cut = match count > max {
        true => format!("…{}", text.chars().skip(count + 1 - max).collect::<String>()),
        false => text,
    };
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn x_of(column: usize) -> usize {
    MARGIN + column * (WIDTH + GAP_X)
}

const MARGIN: usize = 24;
const WIDTH: usize = 220;
const HEIGHT: usize = 72;
const GAP_X: usize = 300;
const GAP_Y: usize = 44;
/// What the three lines of a link's label need.
const PER_LINK: usize = 56;
const LABEL: usize = 200;
/// How far an arrow swings that points back.
const BEND: usize = 80;
/// More than any estate has layers; a circle of diallers ends there.
const COLUMNS_MAX: usize = 8;
