//! Programs that run in the kernel and keep events away from the socket.
//!
//! They spare the reader, not the packet path: by then the kernel has built the message. The `NLATTR` extensions
//! find an attribute by its number from a byte on, and give 0 when there is none. Swapping the program of a
//! live socket loses nothing.

use socket2::SockFilter;

/// What may reach the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Everything.
    All,
    /// What is translated, and of the rest the entries whose id is below the cutoff: the same for all events
    /// of an entry, so that whose beginning was seen, its end is seen too.
    NatOrSampled(u32),
    /// The entries whose id is below the cutoff, translated or not.
    Sampled(u32),
    /// UDP flows answered from this port: ours, after translation.
    UdpPort(u16),
}

const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const LD_ABS_WORD: u16 = 0x20;
const LD_IND_WORD: u16 = 0x40;
const LD_IND_HALF: u16 = 0x48;
const LD_IND_BYTE: u16 = 0x50;
const LD_MEM: u16 = 0x60;
const ST: u16 = 0x02;
const TAX: u16 = 0x07;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;

const NLATTR: u32 = 0xffff_f000 + 12;
const NLATTR_NEST: u32 = 0xffff_f000 + 16;
/// Behind both headers.
const ATTRIBUTES_AT: u32 = 20;
/// Behind the header of an attribute.
const VALUE_AT: u32 = 4;
const CTA_REPLY: u32 = 2;
const CTA_STATUS: u32 = 3;
const CTA_ID: u32 = 12;
const NAT_BITS: u32 = 0x30;
const WHOLE: u32 = u32::MAX;

// === impl Filter ===

impl Filter {
    /// The program.
    pub fn program(self) -> Vec<SockFilter> {
        match self {
            Self::All => vec![op(RET, WHOLE)],
            Self::NatOrSampled(cutoff) => {
                let mut program = vec![
                    op(LD_IMM, ATTRIBUTES_AT),
                    op(LDX_IMM, CTA_STATUS),
                    op(LD_ABS_WORD, NLATTR),
                    jump(JEQ, 0, 3, 0),
                    op(TAX, 0),
                    op(LD_IND_WORD, VALUE_AT),
                    // Over the sample, to its acceptance.
                    jump(JSET, NAT_BITS, 7, 0),
                ];
                program.extend(sample(cutoff));
                program
            }
            Self::Sampled(cutoff) => Vec::from(sample(cutoff)),
            Self::UdpPort(port) => udp_port(port),
        }
    }

    /// Whether it lets through everything about translated flows.
    pub fn passes_all_nat(self) -> bool {
        matches!(self, Self::All | Self::NatOrSampled(_))
    }
}

/// Accepts ids below the cutoff, and messages without id; acceptance is the seventh.
fn sample(cutoff: u32) -> [SockFilter; 9] {
    [
        op(LD_IMM, ATTRIBUTES_AT),
        op(LDX_IMM, CTA_ID),
        op(LD_ABS_WORD, NLATTR),
        jump(JEQ, 0, 3, 0),
        op(TAX, 0),
        op(LD_IND_WORD, VALUE_AT),
        jump(JGE, cutoff, 1, 0),
        op(RET, WHOLE),
        op(RET, 0),
    ]
}

fn udp_port(port: u16) -> Vec<SockFilter> {
    const UDP: u32 = 17;
    const TUPLE_PROTO: u32 = 2;
    const NUM: u32 = 1;
    const SOURCE_PORT: u32 = 2;
    vec![
        op(LD_IMM, ATTRIBUTES_AT),
        op(LDX_IMM, CTA_REPLY),
        op(LD_ABS_WORD, NLATTR),
        jump(JEQ, 0, 17, 0),
        op(LDX_IMM, TUPLE_PROTO),
        op(LD_ABS_WORD, NLATTR_NEST),
        jump(JEQ, 0, 14, 0),
        op(ST, 0),
        op(LDX_IMM, NUM),
        op(LD_ABS_WORD, NLATTR_NEST),
        jump(JEQ, 0, 10, 0),
        op(TAX, 0),
        op(LD_IND_BYTE, VALUE_AT),
        jump(JEQ, UDP, 0, 7),
        op(LD_MEM, 0),
        op(LDX_IMM, SOURCE_PORT),
        op(LD_ABS_WORD, NLATTR_NEST),
        jump(JEQ, 0, 3, 0),
        op(TAX, 0),
        op(LD_IND_HALF, VALUE_AT),
        jump(JEQ, u32::from(port), 1, 0),
        op(RET, 0),
        op(RET, WHOLE),
    ]
}

const fn op(code: u16, k: u32) -> SockFilter {
    SockFilter::new(code, 0, 0, k)
}

const fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> SockFilter {
    SockFilter::new(code, jump_true, jump_false, k)
}
