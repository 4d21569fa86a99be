//! `dogstatsd_mapper_profiles`: names that carry values in them become a name and tags.
//!
//! Profiles are asked in order. The first whose prefix starts the name decides alone: the first of
//! its rules that matches gives the new name and tags, and if none does, the name stays, whatever
//! later profiles say. Results, the negative ones too, are kept in the lane's [`MapperCache`].
//!
//! Nothing is lost here. A mistake in any profile refuses all of them, as in the Agent, because
//! half a mapping would scatter series over two names.

use super::cache::MapperCache;
use super::pattern::{Pattern, PatternError};
use super::template::{Span, Template};

/// One profile, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapperProfile {
    /// Any text; required.
    pub name: String,
    /// What names must start with for this profile to decide; `*` is every name. Required.
    pub prefix: String,
    /// The rules, in order.
    pub mappings: Vec<Mapping>,
}

/// One rule, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The setting `match`; required.
    pub pattern: String,
    /// The setting `match_type`.
    pub kind: MatchKind,
    /// The new name, a template; required.
    pub name: String,
    /// Tag keys, and their values as templates.
    pub tags: Vec<(String, String)>,
}

/// How to read a rule's pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchKind {
    /// `*` is any run of bytes without dots, possibly empty; the rest stands for itself.
    #[default]
    Wildcard,
    /// A regular expression in Go's syntax.
    Regex,
}

/// What a name became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The new name. Empty if its template held nothing but empty groups.
    pub name: Box<[u8]>,
    /// The tags to append, as `key:value`, in the order of the rule. Special tags are among them.
    pub tags: Vec<Box<[u8]>>,
}

/// All profiles, compiled; immutable.
///
/// Lanes may share one. Each holding a clone of its own is faster where rules are regular
/// expressions, see [`Pattern`].
#[derive(Clone, Debug, Default)]
pub struct Mapper {
    profiles: Box<[Profile]>,
}

#[derive(Clone, Debug)]
struct Profile {
    /// Empty, which starts every name, for the setting's `*`.
    prefix: Box<[u8]>,
    rules: Box<[Rule]>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    name: Template,
    /// The key with its colon, and the value.
    tags: Box<[(Box<[u8]>, Template)]>,
}

/// Why `dogstatsd_mapper_profiles` is refused. Profiles and rules are counted from 0.
#[derive(Debug, thiserror::Error)]
pub enum MapperError {
    /// A profile without `name`.
    #[error("profile {profile} of `dogstatsd_mapper_profiles` has no `name`")]
    MissingProfileName {
        /// Place in the list.
        profile: usize,
    },
    /// A profile without `prefix`.
    #[error("profile `{profile}` of `dogstatsd_mapper_profiles` has no `prefix`")]
    MissingPrefix {
        /// Its name.
        profile: String,
    },
    /// A rule without `match`.
    #[error("rule {rule} of profile `{profile}` of `dogstatsd_mapper_profiles` has no `match`")]
    MissingMatch {
        /// Name of the profile.
        profile: String,
        /// Place in its `mappings`.
        rule: usize,
    },
    /// A rule without `name`.
    #[error("rule {rule} of profile `{profile}` of `dogstatsd_mapper_profiles` has no `name`")]
    MissingName {
        /// Name of the profile.
        profile: String,
        /// Place in its `mappings`.
        rule: usize,
    },
    /// A rule whose pattern does not compile.
    #[error(
        "rule {rule} of profile `{profile}` of `dogstatsd_mapper_profiles` \
         has a bad `match`, `{pattern}`: {reason}"
    )]
    BadPattern {
        /// Name of the profile.
        profile: String,
        /// Place in its `mappings`.
        rule: usize,
        /// The pattern, as configured.
        pattern: String,
        /// What is wrong with it.
        reason: PatternError,
    },
}

// === impl Mapper ===

impl Mapper {
    /// Compiles the profiles.
    ///
    /// # Errors
    /// At the first mistake in any of them; nothing is mapped then.
    pub fn compile(profiles: &[MapperProfile]) -> Result<Self, MapperError> {
        let profiles: Result<_, _> = profiles
            .iter()
            .enumerate()
            .map(|(place, profile)| Profile::compile(place, profile))
            .collect();
        Ok(Self {
            profiles: profiles?,
        })
    }

    /// True if no name is ever mapped.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }

    /// What `name` becomes, or `None` if it stays as it is.
    ///
    /// `cache` must have been used with this mapper only (or [`MapperCache::clear`]ed since).
    ///
    /// Cost: a prefix test per profile, then one hash. A name not in the cache is tried with the
    /// rules of one profile, linear in its length for each, and takes the cache's memory for its
    /// entry.
    pub fn map<'c>(&self, cache: &'c mut MapperCache, name: &[u8]) -> Option<&'c Mapped> {
        let profile = self
            .profiles
            .iter()
            .find(|profile| name.starts_with(&profile.prefix))?;
        cache.resolve(name, |spans| profile.map(name, spans))
    }
}

// === impl Profile ===

impl Profile {
    fn compile(place: usize, profile: &MapperProfile) -> Result<Self, MapperError> {
        if profile.name.is_empty() {
            return Err(MapperError::MissingProfileName { profile: place });
        }
        let prefix = match profile.prefix.as_str() {
            "" => {
                return Err(MapperError::MissingPrefix {
                    profile: profile.name.clone(),
                });
            }
            "*" => "",
            prefix => prefix,
        };
        let rules: Result<_, _> = profile
            .mappings
            .iter()
            .enumerate()
            .map(|(rule, mapping)| Rule::compile(&profile.name, rule, mapping))
            .collect();
        Ok(Self {
            prefix: prefix.as_bytes().into(),
            rules: rules?,
        })
    }

    fn map(&self, name: &[u8], spans: &mut Vec<Span>) -> Option<Mapped> {
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.pattern.matches(name, spans))?;
        Some(rule.expand(name, spans))
    }
}

// === impl Rule ===

impl Rule {
    fn compile(profile: &str, rule: usize, mapping: &Mapping) -> Result<Self, MapperError> {
        let profile = || profile.to_owned();
        if mapping.name.is_empty() {
            return Err(MapperError::MissingName {
                profile: profile(),
                rule,
            });
        }
        if mapping.pattern.is_empty() {
            return Err(MapperError::MissingMatch {
                profile: profile(),
                rule,
            });
        }
        let pattern = match mapping.kind {
            MatchKind::Wildcard => Pattern::wildcard(&mapping.pattern),
            MatchKind::Regex => Pattern::regex(&mapping.pattern),
        };
        let pattern = pattern.map_err(|reason| MapperError::BadPattern {
            profile: profile(),
            rule,
            pattern: mapping.pattern.clone(),
            reason,
        })?;
        let groups = pattern.groups();
        let name = Template::new(&mapping.name, groups);
        let tags = mapping.tags.iter().map(|(key, value)| {
            (
                format!("{key}:").into_bytes().into(),
                Template::new(value, groups),
            )
        });
        let tags = tags.collect();
        Ok(Self {
            pattern,
            name,
            tags,
        })
    }

    fn expand(&self, name: &[u8], spans: &[Span]) -> Mapped {
        let text = |start: &[u8], template: &Template| {
            let mut text = start.to_vec();
            template.expand(name, spans, &mut text);
            text.into_boxed_slice()
        };
        Mapped {
            name: text(b"", &self.name),
            tags: self
                .tags
                .iter()
                .map(|(key, value)| text(key, value))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
