//! Messages from outside: rows, a slow obvious parser to compare with, and there and back again.

mod oracle;
mod round_trip;
mod rows;
mod telling;
