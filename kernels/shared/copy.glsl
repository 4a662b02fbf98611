// Copies streams to the payload, once it is known where they go. The includer is encoding.glsl.

// u32 of a stream that an invocation copies at once: memory answers after hundreds of cycles.
#define COPIES 4u

// A stream on its way to the payload: this invocation's next u32 of the payload and what ends them; what is added to a word's
// number in the payload for its place in streams[]; where the payload starts.
struct Copy {
    uint next, end, source, to;
};

Copy no_copy() { return Copy(0u, 0u, 0u, 0u); }

#if WORD_BITS == 32

uint copied(Copy copy, uint i) { return streams[copy.source + i]; }

// Begins to copy a stream to word `begin` of the payload, which starts at `to`.
Copy begin_copy(Stream stream, uint to, uint begin) {
    return Copy(begin + lane(0u), begin + stream.end - stream.p, stream.p - begin, to);
}

#else

uint copied(Copy copy, uint i) {
    uint at = copy.source + 2u * i;
    return get_word(at) | get_word(at + 1u) << 16;
}

// Begins to copy a stream to word `begin` of the payload, which starts at `to`. Each u32 is written with the word in its high half;
// `before` is the word before the stream.
Copy begin_copy(Stream stream, uint to, uint begin, uint before) {
    if (begin % 2u == 1u && lane(0u) == 0u) payload[to + begin / 2u] = before | get_word(stream.p) << 16;
    return Copy((begin + 1u) / 2u + lane(0u), (begin + stream.end - stream.p) / 2u, stream.p - begin, to);
}

#endif

void finish_copy(Copy copy) {
    for (; copy.next < copy.end; copy.next += COPIES * WIDTH) {
        uint words[COPIES];
        [[unroll]] for (uint c = 0u; c < COPIES; c++) words[c] = copied(copy, min(copy.next + c * WIDTH, copy.end - 1u));
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            if (copy.next + c * WIDTH < copy.end) payload[copy.to + copy.next + c * WIDTH] = words[c];
        }
    }
}

#ifdef LATE_COPY
// Tried (NOTES.md): what a group encoded last is copied while it encodes, a u32 of each invocation a tile, loaded a tile ahead.
void copy_a_little(inout Copy copy, inout uint loaded) {
    if (copy.next >= copy.end) return;
    payload[copy.to + copy.next] = loaded;
    copy.next += WIDTH;
    loaded = copied(copy, min(copy.next, copy.end - 1u));
}
#endif
