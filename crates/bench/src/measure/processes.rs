//! Memory and CPU time of the server's processes, and the kernel's TCP memory, from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::io;

/// The processes of a server.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    /// The processes that were named. Their descendants belong to the server too.
    roots: Vec<u32>,
    /// The named processes and their descendants when they were last searched for.
    all: BTreeSet<u32>,
    units: KernelUnits,
}

/// The totals of all processes at one moment, in bytes and in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Resident memory; a shared page counts in each process.
    pub(crate) rss: u64,
    /// Resident memory; a shared page is divided among its processes.
    pub(crate) pss: u64,
    /// User and system time.
    pub(crate) cpu: f64,
    /// The kernel's memory for TCP, for all processes of the machine.
    pub(crate) tcp: u64,
}

/// The units that the kernel counts in.
#[derive(Clone, Copy, Debug)]
struct KernelUnits {
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Processes {
    /// Starts with the processes `roots` and their descendants.
    ///
    /// # Errors
    ///
    /// A process does not exist or belongs to another user.
    pub(crate) fn of(roots: Vec<u32>) -> io::Result<Self> {
        let all = roots.iter().copied().collect();
        let mut processes = Self { roots, all, units: KernelUnits::read()? };
        for root in &processes.roots {
            let named = |error| io::Error::other(format!("process {root}: {error}"));
            processes.memory_of(*root).map_err(named)?;
        }
        processes.find()?;
        Ok(processes)
    }

    /// Returns the current totals, without processes that were started since [`find`](Self::find).
    ///
    /// # Errors
    ///
    /// One of the named processes has ended.
    pub(crate) fn sample(&self) -> io::Result<Sample> {
        let mut sample = Sample { tcp: self.tcp_memory()?, ..Sample::default() };
        for process in self.all.iter().copied() {
            let read = self.memory_of(process).and_then(|(rss, pss)| {
                let cpu = self.units.cpu_of(&fs::read_to_string(format!("/proc/{process}/stat"))?);
                cpu.map(|cpu| (rss, pss, cpu)).ok_or_else(|| io::Error::other("cannot be read"))
            });
            match read {
                Ok((rss, pss, cpu)) => {
                    sample.rss += rss;
                    sample.pss += pss;
                    sample.cpu += cpu;
                }
                // A descendant may have ended since the last search.
                Err(_) if !self.roots.contains(&process) => {}
                Err(error) => {
                    return Err(io::Error::other(format!(
                        "the server's process {process}: {error}"
                    )));
                }
            }
        }
        Ok(sample)
    }

    /// Searches for the named processes and their descendants. This reads one file for each process
    /// of the machine.
    pub(crate) fn find(&mut self) -> io::Result<()> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            parents.extend(parent(&stat).map(|parent| (process, parent)));
        }
        let mut all: BTreeSet<u32> = self.roots.iter().copied().collect();
        loop {
            let before = all.len();
            let children = parents.iter().filter(|(_, parent)| all.contains(parent));
            let children: Vec<u32> = children.map(|(process, _)| *process).collect();
            all.extend(children);
            if all.len() == before {
                break;
            }
        }
        self.all = all;
        Ok(())
    }

    fn memory_of(&self, process: u32) -> io::Result<(u64, u64)> {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let field = |name| kib(&rollup, name).map(|kib| kib * 1024);
        field("Rss:").zip(field("Pss:")).ok_or_else(|| io::Error::other("has no memory"))
    }

    fn tcp_memory(&self) -> io::Result<u64> {
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        Ok(tcp_pages(&sockets).unwrap_or_default() * self.units.page_bytes)
    }
}

/// Returns the CPU time that this process has taken, in seconds.
pub(crate) fn own_cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    KernelUnits::read().ok()?.cpu_of(&stat)
}

impl KernelUnits {
    /// Reads the auxiliary vector, which consists of pairs of a type and a value.
    fn read() -> io::Result<Self> {
        const PAGE_BYTES: u64 = 6;
        const TICKS_PER_SECOND: u64 = 17;
        let told = fs::read("/proc/self/auxv")?;
        let (words, _) = told.as_chunks::<{ size_of::<usize>() }>();
        let words: Vec<u64> = words.iter().map(|word| usize::from_ne_bytes(*word) as u64).collect();
        let value =
            |kind| words.chunks(2).find(|pair| pair[0] == kind).and_then(|pair| pair.get(1));
        let page_bytes = value(PAGE_BYTES).copied().unwrap_or(4096);
        let ticks_per_second = value(TICKS_PER_SECOND).copied().unwrap_or(100).max(1);
        Ok(Self { page_bytes, ticks_per_second })
    }

    /// Returns the user and system time in the `stat` file of a process; see proc(5).
    fn cpu_of(self, stat: &str) -> Option<f64> {
        let ticks = |at| fields(stat)?.nth(at)?.parse::<u64>().ok();
        Some((ticks(11)? + ticks(12)?) as f64 / self.ticks_per_second as f64)
    }
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat)?.nth(1)?.parse().ok()
}

/// Returns the fields after the program's name. The name itself may contain blanks and parentheses.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn kib(rollup: &str, name: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn tcp_pages(sockets: &str) -> Option<u64> {
    let line = sockets.lines().find(|line| line.starts_with("TCP:"))?;
    line.split_whitespace().skip_while(|word| *word != "mem").nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_read_over() {
        let stat = "7 (a b) c) S 3 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 9 1 1";
        assert_eq!(parent(stat), Some(3));
        let units = KernelUnits { page_bytes: 4096, ticks_per_second: 100 };
        assert_eq!(units.cpu_of(stat), Some(3.0));
        assert_eq!(units.cpu_of("7 (a"), None);
    }

    #[test]
    fn memory_is_found_by_its_name() {
        let rollup =
            "0-1 ---p 0 00:00 0 [rollup]\nRss:      1234 kB\nPss:   567 kB\nPss_Anon: 1 kB\n";
        assert_eq!((kib(rollup, "Rss:"), kib(rollup, "Pss:")), (Some(1234), Some(567)));
        assert_eq!(kib(rollup, "Swap:"), None);
        let sockets =
            "sockets: used 9\nTCP: inuse 4 orphan 0 tw 2 alloc 5 mem 77\nUDP: inuse 1 mem 2\n";
        assert_eq!(tcp_pages(sockets), Some(77));
    }

    #[test]
    fn this_process_and_its_children_are_sampled() {
        let mut this = Processes::of(vec![std::process::id()]).unwrap();
        let alone = this.sample().unwrap();
        assert!(alone.rss >= alone.pss && alone.pss > 0, "{alone:?}");
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        this.find().unwrap();
        assert!(this.all.contains(&child.id()));
        // The child ends when its input ends.
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(this.sample().is_ok(), "a child that has ended is no failure");
        this.find().unwrap();
        assert!(!this.all.contains(&child.id()));
        assert!(Processes::of(vec![child.id()]).is_err());
        assert!(own_cpu().is_some_and(|cpu| cpu >= 0.0));
    }
}
