//! YAML text to a tree of [`Node`]s: the only user of the YAML parser.
//!
//! The parser's events are composed here rather than deserialised, for two reasons: scalars must
//! stay as written until the table says what they are (`010`, `on`, `1.10`), and every one of them
//! needs its line and column. Hostile input is bounded three ways: nesting by [`DEPTH_MAX`],
//! expansion of aliases by [`WEIGHT_MAX`], and the length of the text by the caller.

use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Tag};

use crate::node::{Body, Entry, Mark, Node};

/// Deepest nesting accepted.
pub(crate) const DEPTH_MAX: usize = 64;

/// Bytes the composed tree may take, counted as [`NODE_WEIGHT`] and the text of each node.
const WEIGHT_MAX: usize = 48 << 20;

const NODE_WEIGHT: usize = 64;

/// Why a text is not one YAML document.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct YamlError {
    pub(crate) at: Mark,
    pub(crate) message: String,
}

/// A collection that is still open.
struct Frame {
    kind: FrameKind,
    at: Mark,
    anchor: usize,
    /// Weight of the document when it opened, so that its own weight is known when it closes.
    weight_before: usize,
}

enum FrameKind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        /// Values of `<<`, put in when the map closes: its own keys win.
        merges: Vec<Node>,
        pending: Option<PendingKey>,
    },
}

struct PendingKey {
    text: String,
    at: Mark,
    is_merge: bool,
}

#[derive(Default)]
struct Composer {
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    root: Option<Node>,
    documents: usize,
}

/// Parses one document; an empty one is [`Body::Null`].
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| YamlError {
            at: mark(error.marker()),
            message: error.info(),
        })?;
        composer.take(event, mark(&span.start))?;
    }
    Ok(composer.root.unwrap_or(Node {
        body: Body::Null,
        at: Mark { line: 1, column: 1 },
    }))
}

// === impl Composer ===

impl Composer {
    fn take(&mut self, event: Event<'_>, at: Mark) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(refuse(at, "a second document; settings are one document"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.weight;
                self.weigh(at, NODE_WEIGHT + text.len())?;
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                let body = scalar_body(text.into_owned(), style, tag.as_deref());
                self.finish(Node { body, at }, anchor, before, is_merge)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(FrameKind::List(Vec::new()), anchor, at)?;
            }
            Event::MappingStart(_, anchor, _) => {
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    merges: Vec::new(),
                    pending: None,
                };
                self.open(kind, anchor, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at)?,
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id) else {
                    return Err(refuse(at, "the alias names a value that contains it"));
                };
                let (body, weight) = (node.body.clone(), *weight);
                self.weigh(at, weight)?;
                let before = self.weight;
                self.finish(Node { body, at }, 0, before, false)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: FrameKind, anchor: usize, at: Mark) -> Result<(), YamlError> {
        if self.frames.len() >= DEPTH_MAX {
            return Err(refuse(
                at,
                &format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let weight_before = self.weight;
        self.weigh(at, NODE_WEIGHT)?;
        self.frames.push(Frame {
            kind,
            at,
            anchor,
            weight_before,
        });
        Ok(())
    }

    fn close(&mut self, at: Mark) -> Result<(), YamlError> {
        let Some(frame) = self.frames.pop() else {
            return Err(refuse(at, "a collection ends that never began"));
        };
        let body = match frame.kind {
            FrameKind::List(items) => Body::List(items),
            FrameKind::Map {
                mut entries,
                mut keys,
                merges,
                ..
            } => {
                merge(&mut entries, &mut keys, merges)?;
                Body::Map(entries)
            }
        };
        let node = Node { body, at: frame.at };
        self.finish(node, frame.anchor, frame.weight_before, false)
    }

    /// Puts a complete node where it belongs: into its parent, or as the document.
    fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        weight_before: usize,
        is_merge: bool,
    ) -> Result<(), YamlError> {
        if anchor != 0 {
            let weight = self.weight - weight_before;
            // The kept copy costs memory too.
            self.weigh(node.at, weight)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map {
                entries,
                keys,
                merges,
                pending,
            } => match pending.take() {
                None => {
                    let at = node.at;
                    let text = match node.body {
                        Body::Scalar(text) => text,
                        Body::Null => "null".to_owned(),
                        _ => return Err(refuse(at, "a key must be plain text")),
                    };
                    if !is_merge && !keys.insert(text.clone()) {
                        let message = format!("the key `{text}` stands twice in one mapping");
                        return Err(refuse(at, &message));
                    }
                    *pending = Some(PendingKey { text, at, is_merge });
                }
                Some(key) if key.is_merge => merges.push(node),
                Some(key) => entries.push(Entry {
                    key: key.text,
                    at: key.at,
                    value: node,
                }),
            },
        }
        Ok(())
    }

    fn weigh(&mut self, at: Mark, weight: usize) -> Result<(), YamlError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(refuse(at, "too many values, or aliases that multiply"));
        }
        Ok(())
    }
}

/// Adds the entries of `<<` maps; keys of the map itself, then of earlier merges, win.
fn merge(
    entries: &mut Vec<Entry>,
    keys: &mut HashSet<String>,
    merges: Vec<Node>,
) -> Result<(), YamlError> {
    let mut sources = Vec::new();
    for node in merges {
        match node.body {
            Body::Map(map) => sources.push(map),
            Body::List(items) => {
                for item in items {
                    match item.body {
                        Body::Map(map) => sources.push(map),
                        _ => return Err(refuse(item.at, "`<<` takes mappings only")),
                    }
                }
            }
            _ => return Err(refuse(node.at, "`<<` takes mappings only")),
        }
    }
    for entry in sources.into_iter().flatten() {
        if keys.insert(entry.key.clone()) {
            entries.push(entry);
        }
    }
    Ok(())
}

fn scalar_body(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Body {
    let is_null = style == ScalarStyle::Plain
        && tag.is_none()
        && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    if is_null {
        Body::Null
    } else {
        Body::Scalar(text)
    }
}

fn refuse(at: Mark, message: &str) -> YamlError {
    YamlError {
        at,
        message: message.to_owned(),
    }
}

/// The parser counts columns from 0, people from 1.
fn mark(marker: &Marker) -> Mark {
    Mark {
        line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
        column: u32::try_from(marker.col())
            .unwrap_or(u32::MAX)
            .saturating_add(1),
    }
}

#[cfg(test)]
mod tests;
