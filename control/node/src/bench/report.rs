//! What a bench tells, for people and for programs.

use std::io::{self, Write};

use greyhound_telemetry::Latency;
use serde_json::{Value, json};

use super::pool::Tally;
use super::{Outcome, Pace, Plan};

/// Writes a few lines for people.
///
/// # Errors
///
/// When they cannot be written.
pub fn write_text(out: &mut dyn Write, plan: &Plan, outcome: &Outcome) -> io::Result<()> {
    let (accepted, refused) = (outcome.accepted, outcome.refused);
    let seconds = outcome.elapsed.as_secs_f64();
    let offered = accepted.messages + refused.messages;
    writeln!(
        out,
        "sent to {} by {}: {} lines, {} contexts, seed {}, {:.0} bytes a packet",
        plan.destination,
        outcome.transport,
        plan.recipe.shape.as_str(),
        plan.recipe.contexts,
        plan.recipe.seed,
        outcome.packet_bytes,
    )?;
    if outcome.warm.messages > 0 {
        writeln!(out, "  before     {}", tally(outcome.warm))?;
    }
    writeln!(
        out,
        "  offered    {offered} messages in {seconds:.3} s: {}/s",
        si(offered as f64 / seconds)
    )?;
    writeln!(out, "  accepted   {}", tally(accepted))?;
    if refused.packets > 0 {
        let share = 100.0 * refused.messages as f64 / offered as f64;
        writeln!(out, "  refused    {} ({share:.2} %)", tally(refused))?;
    }
    writeln!(
        out,
        "  increments {} over all counters, sample rates reckoned in",
        accepted.increments
    )?;
    if let Some(scheduled) = outcome.scheduled_messages {
        writeln!(
            out,
            "  schedule   {} messages behind at the end; packets left late by {}",
            scheduled.saturating_sub(offered),
            latency(&outcome.lag)
        )?;
    }
    writeln!(out, "  calls      {}", latency(&outcome.calls))?;
    if let Some(cpu) = outcome.sender_cpu {
        writeln!(
            out,
            "  sender     {:.3} s of processor time, {:.0} ns a packet",
            cpu.as_secs_f64(),
            cpu.as_nanos() as f64 / (accepted.packets + refused.packets).max(1) as f64
        )?;
    }
    Ok(())
}

/// The same as an object; times in nanoseconds, lengths in bytes.
pub fn to_json(plan: &Plan, outcome: &Outcome) -> Value {
    let seconds = outcome.elapsed.as_secs_f64();
    let offered = outcome.accepted.messages + outcome.refused.messages;
    let pace = match plan.pace {
        Pace::FlatOut => json!(null),
        Pace::Messages(rate) => json!({ "messages_per_second": rate }),
        Pace::Bytes(rate) => json!({ "bytes_per_second": rate }),
    };
    json!({
        "to": plan.destination.to_string(),
        "transport": outcome.transport,
        "corpus": {
            "shape": plan.recipe.shape.as_str(),
            "contexts": plan.recipe.contexts,
            "kinds": plan.recipe.kinds.to_string(),
            "seed": plan.recipe.seed,
            "pack_bytes": plan.pack_bytes,
            "packet_bytes": outcome.packet_bytes,
        },
        "pace": pace,
        "sources": plan.sources,
        "seconds": seconds,
        "warm": tally_json(outcome.warm),
        "accepted": tally_json(outcome.accepted),
        "refused": tally_json(outcome.refused),
        "offered_messages": offered,
        "offered_messages_per_second": offered as f64 / seconds,
        "scheduled_messages": outcome.scheduled_messages,
        "lag_ns": latency_json(&outcome.lag),
        "call_ns": latency_json(&outcome.calls),
        "sender_cpu_seconds": outcome.sender_cpu.map(|cpu| cpu.as_secs_f64()),
    })
}

fn tally(tally: Tally) -> String {
    format!(
        "{} messages, {} samples, {} bytes in {} packets",
        tally.messages, tally.samples, tally.bytes, tally.packets
    )
}

fn tally_json(tally: Tally) -> Value {
    json!({
        "packets": tally.packets,
        "messages": tally.messages,
        "samples": tally.samples,
        "bytes": tally.bytes,
        "increments": tally.increments,
    })
}

fn latency(latency: &Latency) -> String {
    let micros = |q| latency.quantile_ns(q) as f64 / 1e3;
    format!(
        "{:.1} µs in the middle, {:.1} µs at 99 %, {:.1} µs at most",
        micros(0.5),
        micros(0.99),
        latency.max_ns() as f64 / 1e3
    )
}

fn latency_json(latency: &Latency) -> Value {
    json!({
        "count": latency.count(),
        "p50": latency.quantile_ns(0.5),
        "p99": latency.quantile_ns(0.99),
        "max": latency.max_ns(),
    })
}

/// A number of messages with three digits.
fn si(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}
