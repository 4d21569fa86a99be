//! Which sink gets what: rules by name, tags and host, decided once per context.
//!
//! ```text
//!  FlushBatch ─▶ Router: rule of each context, remembered ─▶ Selection ─┬▶ sink 1: what its rules say ─▶ policy
//!                (flusher's thread)                                     └▶ sink 2: …  (each sink's own thread)
//! ```
//!
//! Rules are asked in order; the first that fits decides alone. What no rule fits goes to the default
//! outputs. A sink that takes everything and changes nothing is given the flush as it is, uncopied.
//!
//! Not sent anywhere, and counted: what a rule sends `nowhere`, what no rule fits when there are no default
//! outputs (`no_rule`), and what is meant only for outputs that are not there (`absent`).

pub mod glob;
pub(crate) mod memory;
pub(crate) mod select;
pub(crate) mod telemetry;
pub(crate) mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_model::context::{Context, Host};

use crate::policy::{Policy, PolicyConfig};
use glob::Glob;

/// Sinks that rules can tell apart.
const SINKS_MAX: usize = 64;
/// What is counted one by one; further rules share the last counter.
pub(crate) const COUNTED_RULES: usize = 1024;

/// Rules and policies, as the operator wrote them.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingConfig {
    /// In order; the first that fits decides.
    pub rules: Vec<RuleConfig>,
    /// Outputs of what no rule fits; `*` in a name is any text.
    pub default_outputs: Vec<String>,
    /// Tags that outputs are not to see, in order; the first that fits decides.
    pub policies: Vec<PolicyConfig>,
}

/// One rule. Conditions left empty fit everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleConfig {
    /// Patterns of metric names; one of them fits.
    pub names: Vec<String>,
    /// Patterns of tags; each of them fits a tag.
    pub tags: Vec<String>,
    /// Patterns of hosts; one of them fits.
    pub hosts: Vec<String>,
    /// Where it goes; `*` in a name is any text. Empty = nowhere.
    pub outputs: Vec<String>,
}

/// Why rules cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// More sinks than can be told apart.
    #[error("rules and tag policies can tell {max} outputs apart, there are {count}")]
    TooManySinks {
        /// How many there are.
        count: usize,
        /// How many can be told apart.
        max: usize,
    },
    /// A rule or policy names an output that does not run.
    #[error("{place} names the output `{output}`, there is none; running are {present}")]
    NoSuchOutput {
        /// Setting, and which of its entries.
        place: String,
        /// As written.
        output: String,
        /// Names that would do.
        present: String,
    },
}

/// Rules compiled for the sinks there are.
#[derive(Debug)]
pub struct Routing {
    rules: Vec<Rule>,
    /// One bit per sink, in the order of the fan-out.
    default_sinks: u64,
    default_is_nowhere: bool,
    all_sinks: u64,
    /// Policies of each sink, in the order of the fan-out.
    policies: Vec<Arc<[Policy]>>,
    /// Points by rule; the last one is of what no rule fits.
    points: Vec<AtomicU64>,
}

#[derive(Debug)]
struct Rule {
    names: Box<[Glob]>,
    tags: Box<[Glob]>,
    hosts: Box<[Glob]>,
    sinks: u64,
    /// It says that nothing is to be sent.
    is_nowhere: bool,
}

/// Why a point is sent nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Nowhere {
    /// A rule without outputs.
    Rule,
    /// No rule fits, and there are no default outputs.
    NoRule,
    /// Only for outputs that do not run.
    Absent,
}

/// Number of the rule that decided; the number of rules when none did.
pub(crate) type RuleNumber = u16;

// === impl Routing ===

impl Routing {
    /// Compiles for these sinks. A pattern of outputs that fits none of them is fine; a plain name that
    /// fits none is a mistake, unless `may_be_absent` knows it as an output that is only switched off.
    ///
    /// # Errors
    /// When an output does not exist, or there are more sinks than can be told apart.
    pub fn compile(
        config: &RoutingConfig,
        sinks: &[&str],
        may_be_absent: impl Fn(&str) -> bool,
    ) -> Result<Self, RoutingError> {
        let is_used = !config.rules.is_empty() || !config.policies.is_empty();
        if sinks.len() > SINKS_MAX && (is_used || config.default_outputs != ["*"]) {
            return Err(RoutingError::TooManySinks {
                count: sinks.len(),
                max: SINKS_MAX,
            });
        }
        let sinks_of = |outputs: &[String], place: &dyn Fn() -> String| {
            let mut mask = 0;
            for output in outputs {
                let fitting = fitting(output, sinks);
                if fitting == 0 && !output.contains('*') && !may_be_absent(output) {
                    return Err(RoutingError::NoSuchOutput {
                        place: place(),
                        output: output.clone(),
                        present: sinks.join(", "),
                    });
                }
                mask |= fitting;
            }
            Ok(mask)
        };
        let globs = |patterns: &[String]| patterns.iter().map(|text| Glob::new(text)).collect();
        let mut rules = Vec::with_capacity(config.rules.len());
        for (index, rule) in config.rules.iter().enumerate() {
            let place = || format!("rule {} of `greyhound.routing.rules`", index + 1);
            rules.push(Rule {
                names: globs(&rule.names),
                tags: globs(&rule.tags),
                hosts: globs(&rule.hosts),
                sinks: sinks_of(&rule.outputs, &place)?,
                is_nowhere: rule.outputs.is_empty(),
            });
        }
        let default = || "`greyhound.routing.default_outputs`".to_owned();
        let default_sinks = sinks_of(&config.default_outputs, &default)?;
        let mut policies: Vec<Vec<Policy>> = sinks.iter().map(|_| Vec::new()).collect();
        for (index, policy) in config.policies.iter().enumerate() {
            let place = || format!("entry {} of `greyhound.routing.tag_policies`", index + 1);
            let mask = sinks_of(&policy.outputs, &place)?;
            for (at, list) in policies.iter_mut().enumerate().take(SINKS_MAX) {
                if mask & bit(at) != 0 {
                    list.push(Policy::new(policy));
                }
            }
        }
        let counted = (rules.len() + 1).min(COUNTED_RULES);
        Ok(Self {
            rules,
            default_sinks,
            default_is_nowhere: config.default_outputs.is_empty(),
            all_sinks: fitting("*", sinks),
            policies: policies.into_iter().map(Into::into).collect(),
            points: (0..counted).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Whether every sink gets every flush as it is.
    pub fn is_plain(&self) -> bool {
        let has_policy = self.policies.iter().any(|list| !list.is_empty());
        self.rules.is_empty() && self.default_sinks == self.all_sinks && !has_policy
    }

    /// Whether there is a rule at all.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Names of the sinks a context goes to, and the number of the rule that says so, from 1; `None` when
    /// no rule fits. For people: nothing is remembered or counted.
    pub fn explain<'n>(
        &self,
        context: &Context,
        hostname: &[u8],
        sinks: &[&'n str],
    ) -> (Option<usize>, Vec<&'n str>) {
        let number = self.rule_of_context(context, hostname);
        let rule = usize::from(number);
        let names = sinks.iter().enumerate();
        let taking = names.filter(|(at, _)| self.takes(number, *at));
        let taking = taking.map(|(_, name)| *name).collect();
        ((rule < self.rules.len()).then_some(rule + 1), taking)
    }

    /// The rule that decides for a metric.
    fn rule_of_context(&self, context: &Context, hostname: &[u8]) -> RuleNumber {
        let host = match context.host() {
            Host::Own => hostname,
            Host::Named(host) => host,
        };
        self.rule_of(context.name(), host, || context.tags())
    }

    /// The rule that decides. `tags` is asked once per rule that has conditions on them.
    fn rule_of<'a, T>(&self, name: &[u8], host: &[u8], tags: impl Fn() -> T) -> RuleNumber
    where
        T: Iterator<Item = &'a [u8]> + Clone,
    {
        let fits = |rule: &Rule| {
            let has = |globs: &[Glob], text| {
                globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
            };
            let has_tags = || {
                let tags = tags();
                let mut wanted = rule.tags.iter();
                wanted.all(|glob| tags.clone().any(|tag| glob.matches(tag)))
            };
            has(&rule.names, name) && has(&rule.hosts, host) && (rule.tags.is_empty() || has_tags())
        };
        let rule = self.rules.iter().position(fits).unwrap_or(self.rules.len());
        // The settings take fewer rules than that.
        RuleNumber::try_from(rule).unwrap_or(RuleNumber::MAX)
    }

    /// Whether what this rule decided goes to the sink.
    pub(crate) fn takes(&self, rule: RuleNumber, sink: usize) -> bool {
        // Beyond the bound there are no rules.
        sink >= SINKS_MAX || self.sinks(rule) & bit(sink) != 0
    }

    /// Policies of one sink.
    pub(crate) fn policies(&self, sink: usize) -> Arc<[Policy]> {
        self.policies.get(sink).cloned().unwrap_or_default()
    }

    fn sinks(&self, rule: RuleNumber) -> u64 {
        let rule = self.rules.get(usize::from(rule));
        rule.map_or(self.default_sinks, |rule| rule.sinks)
    }

    /// Counts what one rule decided on; says why, when it is sent nowhere.
    fn count(&self, rule: RuleNumber, points: u64) -> Option<Nowhere> {
        let last = self.points.len() - 1;
        let cell = match usize::from(rule) {
            rule if rule >= self.rules.len() => last,
            rule => rule.min(last),
        };
        self.points[cell].fetch_add(points, Ordering::Relaxed);
        if self.sinks(rule) != 0 || self.all_sinks == 0 {
            return None;
        }
        Some(match self.rules.get(usize::from(rule)) {
            Some(rule) if rule.is_nowhere => Nowhere::Rule,
            None if self.default_is_nowhere => Nowhere::NoRule,
            _ => Nowhere::Absent,
        })
    }

    /// Points by rule since these rules are in force: its number from 1 and its points, the last one
    /// without a number for what no rule fits.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Option<usize>, u64)> + '_ {
        let last = self.points.len() - 1;
        let cells = self.points.iter().enumerate();
        cells.map(move |(at, cell)| ((at < last).then_some(at + 1), cell.load(Ordering::Relaxed)))
    }
}

// === impl RoutingConfig ===

/// Everything goes everywhere.
impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            default_outputs: vec!["*".to_owned()],
            policies: Vec::new(),
        }
    }
}

// === impl Nowhere ===

impl Nowhere {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Rule, Self::NoRule, Self::Absent];

    /// The word in telemetry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "nowhere",
            Self::NoRule => "no_rule",
            Self::Absent => "absent",
        }
    }
}

/// Sinks whose name an output fits, one bit each.
fn fitting(output: &str, sinks: &[&str]) -> u64 {
    let glob = Glob::new(output);
    let named = sinks.iter().enumerate().take(SINKS_MAX);
    named
        .filter(|(_, name)| glob.matches(name.as_bytes()))
        .fold(0, |mask, (at, _)| mask | bit(at))
}

fn bit(sink: usize) -> u64 {
    1_u64.checked_shl(sink as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests;
