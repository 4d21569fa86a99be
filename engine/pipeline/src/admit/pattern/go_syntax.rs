//! Go's regular expressions, rewritten for the `regex` crate.
//!
//! Mapping rules are written for the Agent, whose engine is Go's `regexp` (RE2 syntax). The two
//! agree in what they find, leftmost and by order of preference, but not in all they accept or mean:
//!
//! | text | Go | `regex` as it is |
//! |---|---|---|
//! | `\d` `\w` `\s` `\b` | ASCII | Unicode |
//! | `$` | the very end | the same, but `\z` says so in both |
//! | `\Q…\E`, `\123` | literal text, octal | refused |
//! | `\<`, `\_`, `\#` | the character | `\<` is a word boundary |
//! | `x{,2}`, `x{a}`, `{` | literal braces | refused |
//! | `[[a]`, `[a&&b]`, `[a--b]` | plain members of a class | class arithmetic |
//! | `(?P<1_x>…)` | a group's name may start with a digit | refused |
//! | `a**`, `a++`, `(?x)`, `(?u)`, `\u0041`, `\Z` | refused | accepted, or other errors |
//! | `(?i)` | folds case of all Unicode | needs tables this build leaves out |
//!
//! So the text is read here by Go's rules, flags included, and written out again with nothing left
//! that could be read differently: characters as code points, classes as ranges, flags resolved,
//! groups without names (the names are returned). Case folding is exact for ASCII and for single
//! upper and lower forms of other letters. `\p{…}` is passed on.
//!
//! Cost: linear in the text, no recursion, output at most some tens of times the input.

mod class;

use class::Class;
use std::fmt::Write as _;

/// Largest count in `x{n,m}`; Go's.
const REPEAT_MAX: u32 = 1000;

/// A pattern in the `regex` crate's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The text to compile; all its groups are unnamed.
    pub pattern: String,
    /// The names of the groups, group 0 (never named) first.
    pub groups: Vec<Option<String>>,
}

/// Why Go refuses a regular expression, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct SyntaxError {
    /// What is wrong.
    pub reason: &'static str,
    /// Where reading stopped, in bytes from the start of `^pattern$`.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    ungreedy: bool,
}

/// What stands before a repetition sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Repetition,
}

#[derive(Debug)]
struct Translator<'s> {
    source: &'s str,
    at: usize,
    flags: Flags,
    /// The flags to go back to at each `)` still to come.
    open: Vec<Flags>,
    groups: Vec<Option<String>>,
    out: String,
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// Rewrites a regular expression of Go's.
///
/// # Errors
/// When Go would refuse it. (Nesting deeper than 250 and very large programs are left to the
/// `regex` crate to refuse.)
pub fn translate(source: &str) -> Result<Translated> {
    let mut translator = Translator {
        source,
        at: 0,
        flags: Flags::default(),
        open: Vec::new(),
        groups: vec![None],
        out: String::with_capacity(source.len() * 2),
    };
    translator.run()?;
    Ok(Translated {
        pattern: translator.out,
        groups: translator.groups,
    })
}

// === impl Translator ===

impl<'s> Translator<'s> {
    fn run(&mut self) -> Result<()> {
        let mut before = Before::Nothing;
        while let Some(c) = self.bump() {
            before = match c {
                '(' => self.open_group(before)?,
                ')' => {
                    self.flags = self.open.pop().ok_or(self.error("`)` without `(`"))?;
                    self.out.push(')');
                    Before::Atom
                }
                '|' => {
                    self.out.push('|');
                    Before::Nothing
                }
                '*' | '+' | '?' => self.repeat(before, c.encode_utf8(&mut [0; 4]))?,
                '{' => match self.counts()? {
                    Some(counts) => self.repeat(before, &counts)?,
                    None => self.literal('{'),
                },
                '^' => self.atom(if self.flags.multi_line {
                    "(?m:^)"
                } else {
                    "\\A"
                }),
                '$' => self.atom(if self.flags.multi_line {
                    "(?m:$)"
                } else {
                    "\\z"
                }),
                '.' => self.atom(if self.flags.dot_newline {
                    "(?s:.)"
                } else {
                    "."
                }),
                '[' => {
                    let class = self.class()?;
                    class.write(&mut self.out);
                    Before::Atom
                }
                '\\' => self.escape(before)?,
                c => self.literal(c),
            };
        }
        if self.open.is_empty() {
            Ok(())
        } else {
            Err(self.error("`(` without `)`"))
        }
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError {
            reason,
            offset: self.at,
        }
    }

    fn atom(&mut self, text: &str) -> Before {
        self.out.push_str(text);
        Before::Atom
    }

    fn literal(&mut self, c: char) -> Before {
        if self.flags.fold_case {
            let mut class = Class::default();
            class.add(c, c);
            class.fold_case();
            class.write(&mut self.out);
        } else if c.is_ascii_alphanumeric() || !c.is_ascii() {
            self.out.push(c);
        } else {
            write_code_point(c, &mut self.out);
        }
        Before::Atom
    }

    fn repeat(&mut self, before: Before, sign: &str) -> Result<Before> {
        match before {
            Before::Nothing => return Err(self.error("nothing to repeat")),
            Before::Repetition => return Err(self.error("a repetition of a repetition")),
            Before::Atom => {}
        }
        self.out.push_str(sign);
        if self.eat("?") != self.flags.ungreedy {
            self.out.push('?');
        }
        Ok(Before::Repetition)
    }

    /// `n}`, `n,}` or `n,m}`; what is not of that form leaves `{` a plain character.
    fn counts(&mut self) -> Result<Option<String>> {
        let Some((body, _)) = self.rest().split_once('}') else {
            return Ok(None);
        };
        let (min, max) = match body.split_once(',') {
            Some((min, "")) => (min, None),
            Some((min, max)) => (min, Some(max)),
            None => (body, Some(body)),
        };
        let digits = |text: &str| {
            let leading_zero = text.len() > 1 && text.starts_with('0');
            !text.is_empty() && !leading_zero && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(min) || !max.is_none_or(digits) {
            return Ok(None);
        }
        // A number too large for its type is too large for Go as well.
        let count = |text: &str| text.parse().unwrap_or(u32::MAX);
        let (min, max) = (count(min), max.map(count));
        if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
            return Err(self.error("a repetition count over 1000, or a range that goes down"));
        }
        self.at += body.len() + 1;
        Ok(Some(match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        }))
    }

    fn open_group(&mut self, before: Before) -> Result<Before> {
        if !self.eat("?") {
            self.groups.push(None);
            self.open.push(self.flags);
            self.out.push('(');
            return Ok(Before::Nothing);
        }
        if self.eat("P<") || self.eat("<") {
            let name = self.rest().split_once('>').map_or("", |(name, _)| name);
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty() || !name.bytes().all(word) {
                return Err(self.error("a group's name is made of letters, digits and `_`"));
            }
            if self.groups.iter().flatten().any(|other| other == name) {
                return Err(self.error("a group's name given twice"));
            }
            self.at += name.len() + 1;
            self.groups.push(Some(name.to_owned()));
            self.open.push(self.flags);
            self.out.push('(');
            return Ok(Before::Nothing);
        }
        self.flags(before)
    }

    /// `(?flags)` or `(?flags:…`, from behind the `?`.
    fn flags(&mut self, before: Before) -> Result<Before> {
        let outer = self.flags;
        let (mut on, mut seen) = (true, true);
        while let Some(c) = self.bump() {
            match c {
                'i' => self.flags.fold_case = on,
                'm' => self.flags.multi_line = on,
                's' => self.flags.dot_newline = on,
                'U' => self.flags.ungreedy = on,
                '-' if on => {
                    (on, seen) = (false, false);
                    continue;
                }
                ':' if seen => {
                    self.open.push(outer);
                    self.out.push_str("(?:");
                    return Ok(Before::Nothing);
                }
                // In force to the end of the group around it.
                ')' if seen => return Ok(before),
                _ => break,
            }
            seen = true;
        }
        Err(self.error("unknown after `(?`"))
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self, before: Before) -> Result<Before> {
        if self.eat("Q") {
            let text = self.rest();
            let (text, skip) = match text.find("\\E") {
                Some(end) => (&text[..end], end + 2),
                None => (text, text.len()),
            };
            self.at += skip;
            for c in text.chars() {
                self.literal(c);
            }
            return Ok(if text.is_empty() {
                before
            } else {
                Before::Atom
            });
        }
        if self.eat("A") {
            return Ok(self.atom("\\A"));
        }
        if self.eat("z") {
            return Ok(self.atom("\\z"));
        }
        if self.eat("b") {
            return Ok(self.atom("(?-u:\\b)"));
        }
        if self.eat("B") {
            return Ok(self.atom("(?-u:\\B)"));
        }
        let mut class = Class::default();
        if self.named_class(&mut class)? {
            class.write(&mut self.out);
            return Ok(Before::Atom);
        }
        let c = self.escaped_char()?;
        Ok(self.literal(c))
    }

    /// `\d` and its like, or `\p{…}`, behind the backslash; false if it is neither.
    fn named_class(&mut self, class: &mut Class) -> Result<bool> {
        let Some(c) = self.rest().chars().next() else {
            return Ok(false);
        };
        if class.add_perl(c) {
            self.at += 1;
            return Ok(true);
        }
        if c != 'p' && c != 'P' {
            return Ok(false);
        }
        self.at += 1;
        let name = match self.bump() {
            Some('{') => {
                let end = self
                    .rest()
                    .find('}')
                    .ok_or(self.error("`\\p{` without `}`"))?;
                let name = &self.rest()[..end];
                self.at += end + 1;
                name
            }
            Some(one) if one.is_ascii_alphabetic() => &self.source[self.at - 1..self.at],
            _ => return Err(self.error("unknown after `\\p`")),
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (c == 'p', name),
            None => (c == 'P', name),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.error("unknown Unicode class"));
        }
        class.add_unicode(name, negated);
        Ok(true)
    }

    /// One character written with a backslash; the backslash is read already.
    fn escaped_char(&mut self) -> Result<char> {
        let unknown = self.error("unknown after `\\`");
        let code = match self.bump().ok_or(unknown)? {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' => self.hex()?,
            // `\1` to `\7` alone would be a reference to a group, which Go has not.
            c @ '1'..='7' if !self.rest().starts_with(|c| ('0'..='7').contains(&c)) => {
                return Err(SyntaxError {
                    offset: self.at - c.len_utf8(),
                    ..unknown
                });
            }
            c @ '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.rest().chars().next().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                code
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(unknown),
        };
        char::from_u32(code).ok_or(self.error("not a character"))
    }

    /// `41` or `{1F600}`, behind `\x`.
    fn hex(&mut self) -> Result<u32> {
        let error = self.error("`\\x` takes two hexadecimal digits or `{…}`");
        let rest = self.rest();
        let digits = if self.eat("{") {
            rest[1..]
                .split_once('}')
                .map(|(digits, _)| digits)
                .ok_or(error)?
        } else {
            rest.get(..2).ok_or(error)?
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error);
        }
        self.at += digits.len() + usize::from(rest.starts_with('{'));
        u32::from_str_radix(digits, 16).map_err(|_| error)
    }

    /// A class, from behind its `[`.
    fn class(&mut self) -> Result<Class> {
        let mut class = Class::default();
        class.negated = self.eat("^");
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if self.rest().starts_with("[:") && self.posix_class(&mut class)? {
                continue;
            }
            if self.rest().starts_with('\\') {
                self.at += 1;
                if self.named_class(&mut class)? {
                    continue;
                }
                self.at -= 1;
            }
            let from = self.class_char()?;
            let range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
            let to = if range && self.eat("-") {
                self.class_char()?
            } else {
                from
            };
            if to < from {
                return Err(self.error("a range that goes down"));
            }
            class.add(from, to);
        }
        if self.flags.fold_case {
            class.fold_case();
        }
        Ok(class)
    }

    fn class_char(&mut self) -> Result<char> {
        match self.bump() {
            Some('\\') => self.escaped_char(),
            Some(c) => Ok(c),
            None => Err(self.error("`[` without `]`")),
        }
    }

    /// `[:alpha:]` inside of a class; false if no `:]` follows, when `[` is a plain member.
    fn posix_class(&mut self, class: &mut Class) -> Result<bool> {
        let Some(end) = self.rest()[2..].find(":]") else {
            return Ok(false);
        };
        let name = &self.rest()[2..2 + end];
        if !class.add_posix(name) {
            return Err(self.error("unknown class name"));
        }
        self.at += end + 4;
        Ok(true)
    }
}

fn write_code_point(c: char, out: &mut String) {
    write!(out, "\\x{{{:X}}}", u32::from(c)).expect("writing to a string does not fail");
}
