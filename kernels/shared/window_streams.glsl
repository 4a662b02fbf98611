// What encoding.glsl wants of a coder with windows, behind it.

bool is_full(STATE x, Bits bits) { return is_full(x.window, bits); }

uint full_word(STATE x) { return x.window.word; }

void push(bool written, inout STATE x, Bits bits) { push(written, x.window, bits); }

void finish(inout Stream stream, out uint length[LANES], out uvec2 bits[LANES]) {
    bool full[LANES];
    uint at[LANES];
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) full[j] = count_of(stream.x[j].window, false) >= LEAST + 32u;
    claim_back(stream.p, full, at);
    UNROLL_LANES for (uint j = 0u; j < LANES; j++) {
        Window w = stream.x[j].window;
        if (full[j]) put_word(at[j] / UNIT, w.word);
        length[j] = count_of(w, full[j]);
        bits[j] = bits_of(w, full[j]);
    }
}
