//! What the operating system says of this process and its machine.

use std::{
    fs,
    sync::{Mutex, PoisonError},
};

/// Resident memory of this process, in bytes; 0 where that cannot be told.
#[must_use]
pub fn resident_bytes() -> u64 {
    field_of("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// The memory this process may use, in bytes: the control group's limit, else the machine's memory.
#[must_use]
pub fn memory_bytes() -> u64 {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    group.or_else(|| field_of("/proc/meminfo", "MemTotal:").map(|kib| kib * 1024)).unwrap_or(0)
}

/// Memory that could be used now, in bytes.
#[must_use]
pub fn available_bytes() -> u64 {
    field_of("/proc/meminfo", "MemAvailable:").unwrap_or(0) * 1024
}

/// The processor's name.
#[must_use]
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Shares of processor time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cpu {
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
    /// Unused.
    pub free: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    user: u64,
    system: u64,
    idle: u64,
}

/// The machine's processor time since the call before; since its start at the first.
#[must_use]
pub fn cpu() -> Cpu {
    static BEFORE: Mutex<Ticks> = Mutex::new(Ticks { user: 0, system: 0, idle: 0 });
    let now = ticks().unwrap_or_default();
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let (user, system, idle) =
        (now.user.saturating_sub(before.user), now.system.saturating_sub(before.system), now.idle.saturating_sub(before.idle));
    let all = user + system + idle;
    if all == 0 {
        return Cpu { free: 100.0, ..Cpu::default() };
    }
    *before = now;
    let share = |part: u64| part as f64 * 100.0 / all as f64;
    Cpu { user: share(user), system: share(system), free: share(idle) }
}

fn ticks() -> Option<Ticks> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let mut fields = text.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    let mut next = || fields.next().unwrap_or(0);
    let (user, nice, system, idle, wait, irq, soft) = (next(), next(), next(), next(), next(), next(), next());
    Some(Ticks { user: user + nice, system: system + irq + soft, idle: idle + wait })
}

fn field_of(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
