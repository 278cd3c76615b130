use super::super::{Frames, Reader, read_answer, read_request, write_answer, write_request};
use super::streams::split;
use super::{answered, body_of, recordings};

/// A generator of the same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        if self.below(2) == 0 {
            out.truncate(self.below(bytes.len()));
        }
        for _ in 0..self.below(4) {
            let at = self.below(out.len());
            if let Some(byte) = out.get_mut(at) {
                *byte = if self.below(2) == 0 {
                    *byte ^ (1 << self.below(8))
                } else {
                    b"{}[]\",:0"[self.below(8)]
                };
            }
        }
        out
    }
}

#[test]
fn damage_never_panics() {
    let (all, mut dice, mut read) = (recordings(), Dice(0x5eed), 0);
    let small = |body: &Vec<u8>| body.len() < 20_000;
    for record in all.iter().cycle().take(all.len() * 16) {
        for part in [&record["request"], &record["response"]] {
            let Some(body) = body_of(part).filter(small) else { continue };
            let body = dice.damaged(&body);
            if let Ok(request) = read_request(&body) {
                let _ = write_request(&request);
            }
            if let Ok(answer) = read_answer(&body) {
                write_answer(&answer);
            }
            read += 1;
        }
        if answered(record, "converse_stream") {
            damage_a_stream(&body_of(&record["response"]).unwrap(), &mut dice);
        }
    }
    println!("{read} damaged bodies");
    assert!(all.is_empty() || read >= 3000, "{read}");
}

fn damage_a_stream(body: &[u8], dice: &mut Dice) {
    let mut frames = Frames::default();
    frames.push(&dice.damaged(body));
    while let Ok(Some(_)) = frames.next_frame() {}
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for (name, data) in split(body).iter().take(60) {
        let data = if dice.below(5) == 0 { dice.damaged(data) } else { data.clone() };
        let _ = reader.read(name, &data, &mut events);
    }
    let _ = reader.end(&mut events);
}
