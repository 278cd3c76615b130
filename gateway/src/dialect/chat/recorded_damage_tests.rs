//! Damaged bodies.

use super::*;

/// Cut and flipped bodies are read or refused, never worse.
#[test]
fn damaged_bodies_do_no_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut tried = 0;
    for (n, (_, record)) in recordings().iter().enumerate() {
        let side = if n % 2 == 0 { &record["request"] } else { &record["response"] };
        let Some(text) = text_of(side).filter(|text| text.len() < 20_000) else { continue };
        for _ in 0..6 {
            let mut bytes = text.as_bytes()[..text.len() - random(text.len() / 2) * random(2)].to_vec();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                bytes[at] = b"\"{}[],:0ntx\\ -9e"[random(16)];
            }
            let _ = read_request(&bytes).map(|request| write_request(&request));
            let _ = read_answer(&bytes).map(|answer| write_answer(&answer));
            if let Ok(events) = read_stream(&String::from_utf8_lossy(&bytes)) {
                let mut writer = Writer::new("", "", 0, true);
                events.iter().for_each(|event| writer.write(event, &mut Vec::new()));
            }
            tried += 1;
        }
    }
    println!("{tried} damaged bodies");
}
