// What encoding.glsl wants of a coder with windows, behind it.

bool is_full(STATE x, Bits bits) { return is_full(x.window, bits); }

uint full_word(STATE x) { return x.window.word; }

void push(bool written, inout STATE x, Bits bits) { push(written, x.window, bits); }

void finish(inout Stream stream) {
    bool full[LANES];
    uint at[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) full[j] = 64u - stream.x[j].window.room >= MOST_INITIAL;
    claim_back(stream.p, full, at);
    uvec2 states[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (full[j]) put_word(at[j], full_word(stream.x[j]));
        states[j] = marked(stream.x[j].window, full[j]);
        states[j].y = high_half(stream.x[j], states[j].y);
    }
    stream.p -= INITIAL_WORDS;
    // Two high halves share a u32: the low one comes first.
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (stream.size == 0u) continue;
        put_word(stream.p + lane(j), states[j].x);
        if (lane(j) % 2u == 0u) put_word(stream.p + 32u + lane(j) / 2u, states[j].y);
    }
    memoryBarrierBuffer();
    group_barrier();
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (stream.size > 0u && lane(j) % 2u == 1u) {
            atomicOr(streams[stream.p + 32u + lane(j) / 2u], states[j].y << 16);
        }
    }
}
