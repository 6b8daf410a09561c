//! Alone in its process, so that the peak that is measured is its own.

use domain::onnx::Scanner;

/// The most memory that this process has had so far, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// The key of a field with a length, and the length.
fn head(field: u64, mut length: u64) -> Vec<u8> {
    let mut out = vec![(field << 3 | 2) as u8];
    while length >= 0x80 {
        out.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out
}

#[test]
fn a_gigabyte_of_weights_is_read_in_constant_memory() {
    const WEIGHTS: u64 = 1 << 30;
    let raw_data = head(9, WEIGHTS);
    let initializer = head(5, raw_data.len() as u64 + WEIGHTS);
    let output = b"\x62\x0B\x0A\x01y\x12\x06\x0A\x04\x08\x01\x12\x00";
    let graph_length = (initializer.len() + raw_data.len() + output.len()) as u64 + WEIGHTS;
    let chunk = vec![7; 1 << 20];

    let before = peak_kib().unwrap();
    let mut scanner = Scanner::default();
    let start = [b"\x08\x08".to_vec(), head(7, graph_length), initializer, raw_data].concat();
    scanner.feed(&start).unwrap();
    for _ in 0..WEIGHTS / chunk.len() as u64 {
        scanner.feed(&chunk).unwrap();
    }
    scanner.feed(output).unwrap();
    scanner.feed(b"\x42\x02\x10\x12").unwrap();
    let facts = scanner.finish().unwrap();

    assert_eq!(facts.opset["ai.onnx"], 18);
    let grown = peak_kib().unwrap() - before;
    assert!(grown < 4096, "{grown} KiB more");
}
