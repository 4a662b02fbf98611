// Copies streams to the payload, once it is known where they go. The includer is encoding.glsl.

// u32 of a stream that an invocation copies at once: memory answers after hundreds of cycles.
#define COPIES 4u

// Copies the u32 of a stream from this invocation's first in the payload, `next`, on and before `end`. The payload starts at `to`;
// `source` is what a number in the payload, in words, lacks to a place in streams[].
void copy_words(uint next, uint end, uint source, uint to);

#if WORD_BITS == 32

uint copied(uint source, uint i) { return streams[source + i]; }

// Copies a stream to word `begin` of the payload, which starts at `to`.
void copy(Stream stream, uint to, uint begin) {
    copy_words(begin + lane(0u), begin + stream.end - stream.p, stream.p - begin, to);
}

#else

uint copied(uint source, uint i) {
    uint at = source + 2u * i;
    return get_word(at) | get_word(at + 1u) << 16;
}

// Copies a stream to word `begin` of the payload, which starts at `to`. Each u32 is written with the word in its high half; `before` is
// the word before the stream.
void copy(Stream stream, uint to, uint begin, uint before) {
    if (begin % 2u == 1u && lane(0u) == 0u) payload[to + begin / 2u] = before | get_word(stream.p) << 16;
    copy_words((begin + 1u) / 2u + lane(0u), (begin + stream.end - stream.p) / 2u, stream.p - begin, to);
}

#endif

void copy_words(uint next, uint end, uint source, uint to) {
    for (; next < end; next += COPIES * WIDTH) {
        uint words[COPIES];
        [[unroll]] for (uint c = 0u; c < COPIES; c++) words[c] = copied(source, min(next + c * WIDTH, end - 1u));
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            if (next + c * WIDTH < end) payload[to + next + c * WIDTH] = words[c];
        }
    }
}
