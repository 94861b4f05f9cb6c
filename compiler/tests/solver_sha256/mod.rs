//! SHA-256, for the digests in the golden vectors.

/// The first 32 bits of the fractional part of the `root`-th root of each of the first `N` primes.
fn roots<const N: usize>(root: u32) -> [u32; N] {
    let mut primes = (2u128..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    std::array::from_fn(|_| {
        // The greatest r with r^root <= prime * 2^(32 root); its low word is the fraction.
        let target = primes.next().unwrap_or(2) << (32 * root);
        let (mut low, mut high) = (0u128, 1 << 38);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if middle.pow(root) <= target { low = middle } else { high = middle }
        }
        low as u32
    })
}

/// The digest in hexadecimal.
pub(crate) fn sha256(message: &[u8]) -> String {
    let constants: [u32; 64] = roots(3);
    let mut state: [u32; 8] = roots(2);
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((8 * message.len() as u64).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w = [0u32; 64];
        for i in 0..64 {
            w[i] = if i < 16 {
                u32::from_be_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]])
            } else {
                let (x, y) = (w[i - 15], w[i - 2]);
                let small = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
                let large = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
                w[i - 16].wrapping_add(small).wrapping_add(w[i - 7]).wrapping_add(large)
            };
        }
        let mut s = state;
        for (word, constant) in w.into_iter().zip(constants) {
            let [a, b, c, d, e, f, g, h] = s;
            let mix_e = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let mix_a = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let (choice, majority) = ((e & f) ^ (!e & g), (a & b) ^ (a & c) ^ (b & c));
            let first = h.wrapping_add(mix_e).wrapping_add(choice).wrapping_add(constant).wrapping_add(word);
            s = [first.wrapping_add(mix_a).wrapping_add(majority), a, b, c, d.wrapping_add(first), e, f, g];
        }
        for (total, word) in state.iter_mut().zip(s) {
            *total = total.wrapping_add(word);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}
