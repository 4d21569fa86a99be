//! From method and path to a route. Paths are compared decoded and part by part, as the Agent's router does:
//! an escaped slash is a slash, a slash at the end is another path.

use std::sync::Arc;

use hyper::Method;

use super::Route;
use super::request::percent_decode;

/// All routes.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    /// For paths of nobody.
    fallback: Option<Arc<Route>>,
}

#[derive(Debug)]
struct Row {
    route: Arc<Route>,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Is(&'static str),
    Any(&'static str),
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    /// A route, and the values of its parts.
    Route(&'t Arc<Route>, Vec<(&'static str, String)>),
    /// A clean form of the path.
    Moved(String),
    /// A template that knows other methods.
    WrongMethod(&'static str),
    /// No route.
    Nothing,
}

// === impl Table ===

impl Table {
    /// Puts the rows of all groups together.
    ///
    /// # Errors
    /// Two rows for the same method and path: one of them could never be reached.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, String> {
        let mut table = Self::default();
        for route in routes {
            let parts = parts(route.path);
            let is_same = |row: &Row| row.route.method == route.method && alike(&row.parts, &parts);
            if table.rows.iter().any(is_same) {
                return Err(format!("two routes for {route:?}"));
            }
            table.rows.push(Row {
                route: Arc::new(route),
                parts,
            });
        }
        Ok(table)
    }

    /// The same, with a route for all paths that lead nowhere.
    #[must_use]
    pub fn with_fallback(mut self, route: Route) -> Self {
        self.fallback = Some(Arc::new(route));
        self
    }

    /// All routes, in the order they came.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.rows.iter().map(|row| &row.route)
    }

    pub(crate) fn find(&self, method: &Method, raw_path: &str) -> Found<'_> {
        let Some(path) = percent_decode(raw_path, false) else {
            return Found::Nothing;
        };
        if let Some(clean) = cleaned(&path) {
            return Found::Moved(escaped(&clean));
        }
        let given: Vec<&str> = path.split('/').skip(1).collect();
        let mut best: Option<(&Row, bool)> = None;
        for row in self.rows.iter().filter(|row| row.matches(&given)) {
            let fits = row.route.method == *method;
            let is_better = best.is_none_or(|(other, other_fits)| {
                (fits, row.literals()) > (other_fits, other.literals())
            });
            if is_better {
                best = Some((row, fits));
            }
        }
        match best {
            Some((row, true)) => Found::Route(&row.route, row.params(&given)),
            Some((row, false)) => Found::WrongMethod(row.route.path),
            None => self
                .fallback
                .as_ref()
                .map_or(Found::Nothing, |route| Found::Route(route, Vec::new())),
        }
    }
}

fn parts(path: &'static str) -> Vec<Part> {
    path.split('/')
        .skip(1)
        .map(|part| {
            let name = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'));
            name.map_or(Part::Is(part), Part::Any)
        })
        .collect()
}

/// Whether two templates take the same paths.
fn alike(one: &[Part], two: &[Part]) -> bool {
    let same = |(one, two): (&Part, &Part)| match (one, two) {
        (Part::Any(_), Part::Any(_)) => true,
        (one, two) => one == two,
    };
    one.len() == two.len() && one.iter().zip(two).all(same)
}

/// The path without empty and dot parts, when it has any. `/agent` is the folder of all paths.
fn cleaned(path: &str) -> Option<String> {
    if path == "/agent" {
        return Some("/agent/".to_owned());
    }
    let inside = path.strip_prefix('/')?;
    let is_dirty = |(index, part): (usize, &str)| {
        let is_last = index == inside.split('/').count() - 1;
        part == "." || part == ".." || (part.is_empty() && !is_last)
    };
    if !inside.split('/').enumerate().any(is_dirty) {
        return None;
    }
    let mut clean: Vec<&str> = Vec::new();
    for part in inside.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    let mut clean = format!("/{}", clean.join("/"));
    let last = inside.rsplit('/').next().unwrap_or_default();
    if last.is_empty() && clean != "/" {
        clean.push('/');
    }
    Some(clean)
}

/// For a `Location`: what is no plain character of a path is escaped.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

// === impl Row ===

impl Row {
    fn matches(&self, given: &[&str]) -> bool {
        let fits = |(part, given): (&Part, &&str)| match part {
            Part::Is(text) => text == given,
            Part::Any(_) => !given.is_empty(),
        };
        self.parts.len() == given.len() && self.parts.iter().zip(given).all(fits)
    }

    /// The more parts are fixed, the more exact.
    fn literals(&self) -> usize {
        let fixed = |part: &&Part| matches!(part, Part::Is(_));
        self.parts.iter().filter(fixed).count()
    }

    fn params(&self, given: &[&str]) -> Vec<(&'static str, String)> {
        let named = self.parts.iter().zip(given);
        named
            .filter_map(|(part, given)| match part {
                Part::Any(name) => Some((*name, (*given).to_owned())),
                Part::Is(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Handler;
    use crate::rest::response::Response;

    fn route(method: Method, path: &'static str) -> Route {
        Route::new(method, path, "a test", Handler::now(|_| Response::empty()))
    }

    fn table() -> Table {
        Table::new([
            route(Method::GET, "/agent/config/{setting}"),
            route(Method::POST, "/agent/config/{setting}"),
            route(Method::GET, "/agent/config/list-runtime"),
            route(Method::GET, "/agent/{component}/status"),
            route(Method::GET, "/agent/status/health"),
        ])
        .expect("no two alike")
    }

    /// In words: template and values, or what else was found.
    fn found(method: &Method, path: &str) -> String {
        match table().find(method, path) {
            Found::Route(route, params) => format!("{} {params:?}", route.path),
            Found::Moved(to) => format!("moved {to}"),
            Found::WrongMethod(path) => format!("wrong method {path}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn the_most_exact_route_wins() {
        let get = |path| found(&Method::GET, path);
        assert_eq!(
            get("/agent/config/list-runtime"),
            "/agent/config/list-runtime []"
        );
        assert_eq!(
            get("/agent/config/log_level"),
            "/agent/config/{setting} [(\"setting\", \"log_level\")]"
        );
        assert_eq!(get("/agent/status/health"), "/agent/status/health []");
        assert_eq!(
            get("/agent/%63onfig/list-runtime"),
            "/agent/config/list-runtime []"
        );
        let post = found(&Method::POST, "/agent/config/list-runtime");
        assert_eq!(
            post,
            "/agent/config/{setting} [(\"setting\", \"list-runtime\")]"
        );
    }

    #[test]
    fn paths_are_taken_exactly() {
        for path in [
            "/agent/config/",
            "/agent/config/a/",
            "/agent/config/a%2Fb",
            "/agent/config/%zz",
            "/agent/CONFIG/a",
            "/agent/",
            "/",
            "*",
            "",
        ] {
            assert_eq!(found(&Method::GET, path), "nothing", "{path}");
        }
        let head = found(&Method::HEAD, "/agent/status/health");
        assert_eq!(head, "wrong method /agent/status/health");
    }

    #[test]
    fn unclean_paths_are_moved() {
        for (path, to) in [
            ("/agent", "/agent/"),
            ("/agent//version", "/agent/version"),
            ("/agent/./version", "/agent/version"),
            ("/agent/x/../version", "/agent/version"),
            ("/../../etc/", "/etc/"),
            ("//", "/"),
            ("/agent//a%20b%0d", "/agent/a%20b%0D"),
        ] {
            assert_eq!(found(&Method::GET, path), format!("moved {to}"), "{path}");
        }
    }

    #[test]
    fn two_rows_for_one_path_are_refused() {
        let twice = [route(Method::GET, "/a/{b}"), route(Method::GET, "/a/{c}")];
        assert!(Table::new(twice).is_err());
    }
}
