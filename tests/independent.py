"""A third implementation of the LNS units, written from docs/spec.md alone; it only serves the tests.

It shares no code with lns/reference.py. A format is a tuple (bits, frac_bits, signed); words, codes and events are
plain integers, an event value being the OR of the flag bits of section 1.3. Section numbers are those of docs/spec.md.
"""

from bisect import bisect_left
from fractions import Fraction
from functools import cache

import mpmath

MP = mpmath.mp.clone()  # a context of its own: the caller's precision is neither used nor changed
MP.prec = 256

SATURATE, UNDERFLOW, DIVIDE_BY_ZERO, INVALID, CLIP, ACC_SATURATE, ACC_UNDERFLOW = (1 << i for i in range(7))


def _round(x):
    return int(MP.floor(x + MP.mpf("0.5")))


def _log2(x):
    return MP.log(x) / MP.ln2


def _pow2(num, den):
    return MP.power(2, MP.mpf(num) / den)


def _real(sign, twice_d, F):
    """SBR (sign 1) or DBR (sign -1) of section 3.3 at distance twice_d / 2."""
    return sign * 2**F * _log2(1 + sign * _pow2(-twice_d, 2 ** (F + 1)))


@cache
def _exact(sign, d, F):
    """SB (sign 1) or DB (sign -1) of section 3.2."""
    return _round(_real(sign, 2 * d, F))


def _code_bits(fmt):
    return fmt[0] - 1 if fmt[2] else fmt[0]


def _bias(fmt):
    return 1 << (_code_bits(fmt) - 1)


def _max(fmt):
    return (1 << _code_bits(fmt)) - 1


def _split(word, fmt):
    """(sign, code)"""
    return (word >> _code_bits(fmt)) & 1 if fmt[2] else 0, word & _max(fmt)


def _join(sign, code, fmt):
    return sign << _code_bits(fmt) | code if code else 0


def _emit(sign, code, fmt):
    """The range rule."""
    if code <= 0:
        return 0, UNDERFLOW
    return _join(sign, min(code, _max(fmt)), fmt), SATURATE if code > _max(fmt) else 0


def _convert_raw(sign, raw, F, dst, src_offset, dst_offset, rounding):
    """Section 1.6 for a nonzero number given as sign and raw at F fraction bits."""
    if sign and not dst[2]:
        return 0, INVALID
    u = raw + (src_offset - dst_offset) * 2**F
    if dst[1] >= F:
        r = u << (dst[1] - F)
    else:
        t = F - dst[1]
        r, m = u >> t, u % (1 << t)
        half = 1 << (t - 1)
        if rounding == "nearest" and (m > half or (m == half and (r + _bias(dst)) % 2 == 1)):
            r += 1
    return _emit(sign, r + _bias(dst), dst)


def convert(word, src, dst, src_offset, dst_offset, rounding="nearest"):
    sign, code = _split(word, src)
    return _convert_raw(sign, code - _bias(src), src[1], dst, src_offset, dst_offset, rounding) if code else (0, 0)


def mul(a, b, fmt):
    (sa, ca), (sb, cb) = _split(a, fmt), _split(b, fmt)
    return _emit(sa ^ sb, ca + cb - _bias(fmt), fmt) if ca and cb else (0, 0)


def div(a, b, fmt):
    (sa, ca), (sb, cb) = _split(a, fmt), _split(b, fmt)
    if cb == 0:
        return (_join(sa, _max(fmt), fmt), DIVIDE_BY_ZERO) if ca else (0, INVALID)
    return _emit(sa ^ sb, ca - cb + _bias(fmt), fmt) if ca else (0, 0)


def square(a, fmt):
    _, code = _split(a, fmt)
    return _emit(0, 2 * code - _bias(fmt), fmt) if code else (0, 0)


def sqrt(a, fmt):
    sign, code = _split(a, fmt)
    if code == 0 or sign:
        return 0, INVALID if code else 0
    return _emit(0, ((code - _bias(fmt)) >> 1) + _bias(fmt), fmt)


def _coarse(sign, F, k):
    @cache
    def entry(j):
        return _round(_real(sign, (j << (k + 1)) + (1 << k) - 1, F))

    return lambda d: entry(d >> k)


def _linear(sign, F, k, g):
    # the index of the first zero among d = 1, 2, ... is the last d that is not zero
    last = bisect_left(range(1, ((F + 2) << F) + 2), True, key=lambda d: _exact(sign, d, F) == 0)
    segments = (last >> k) + 1

    @cache
    def point(j):
        return _round(2**g * _real(sign, j << (k + 1), F)) + (1 << (g - 1))

    def f(d):
        j, x = d >> k, d % (1 << k)
        if sign < 0 and j == 0:
            return _exact(sign, d, F)
        return (point(j) - ((point(j) - point(j + 1)) >> k) * x) >> g if j < segments else 0

    return cache(f)


def _mitchell(F):
    def sb(d):
        return ((1 << (F + 1)) - d % (1 << F)) >> ((d >> F) + 1)

    def db(d):
        y = (1 << F) - sb(d)
        e = y.bit_length() - 1
        return ((F - e) << F) - ((y - (1 << e)) << (F - e))

    return sb, db


@cache
def tables(kind, F):
    if kind[0] in ("full", "coarse"):
        return tuple(_coarse(sign, F, kind[1] if kind[0] == "coarse" else 0) for sign in (1, -1))
    if kind[0] == "linear":
        return tuple(_linear(sign, F, kind[1], kind[2]) for sign in (1, -1))
    if kind[0] == "mitchell":
        return _mitchell(F)
    raise ValueError(f"unknown table kind {kind!r}")


def add(a, b, fmt, tabs):
    (sa, ca), (sb, cb) = _split(a, fmt), _split(b, fmt)
    if ca == 0:
        return _join(sb, cb, fmt), 0
    if cb == 0:
        return _join(sa, ca, fmt), 0
    d = abs(ca - cb)
    if sa == sb:
        return _emit(sa, max(ca, cb) + tabs[0](d), fmt)
    if d == 0:
        return 0, 0
    return _emit(sa if ca > cb else sb, max(ca, cb) - tabs[1](d), fmt)


@cache
def _significand(T, F, i):
    return min(2**T - 1, _round(2 ** (T - 1) * _pow2(i, 2**F)))


def antilog_rom(T, F):
    return [_significand(T, F, i) for i in range(2**F)]


def _antilog(p, h, T, F):
    n = (p >> F) - (T - 1) + h
    significand = _significand(T, F, p % (1 << F))
    return significand << n if n >= 0 else significand >> -n


def _product(a, b, fa, fb, F):
    """(sign, product code at F), or 0 for a zero product."""
    (sa, ca), (sb, cb) = _split(a, fa), _split(b, fb)
    return ca and cb and (sa ^ sb, ((ca - _bias(fa)) << (F - fa[1])) + ((cb - _bias(fb)) << (F - fb[1])))


def _largest_product(fa, fb):
    """(F, p_max, q_max)"""
    F = max(fa[1], fb[1])
    p_max = ((_bias(fa) - 1) << (F - fa[1])) + ((_bias(fb) - 1) << (F - fb[1]))
    return F, p_max, p_max >> F


def dot_linear(a, b, fa, fb, T, guard, A, L):
    F, _, q_max = _largest_product(fa, fb)
    terms = []
    for x, y in zip(a, b, strict=True):
        product = _product(x, y, fa, fb, F)
        magnitude = _antilog(product[1], guard - q_max, T, F) if product else 0
        terms.append(-magnitude if product and product[0] else magnitude)
    V, events, low, high = 0, 0, -(1 << (A - 1)), (1 << (A - 1)) - 1
    for start in range(0, len(terms), L):
        V += sum(terms[start : start + L])
        if not low <= V <= high:
            V, events = max(low, min(high, V)), ACC_SATURATE
    return V, events


def k_safe(fa, fb, T, guard, A):
    F, p_max, q_max = _largest_product(fa, fb)
    return ((1 << (A - 1)) - 1) // _antilog(p_max, guard - q_max, T, F)


@cache
def _log_fraction(m, M, F):
    return _round(2**F * _log2(1 + MP.mpf(2 * m + 1) / 2 ** (M + 1)))


def linear_to_log(V, x, M, fmt, offset):
    if V == 0:
        return 0, 0
    if V < 0 and not fmt[2]:
        return 0, INVALID  # not in section 6; as in section 1.6
    mag, F = abs(V), fmt[1]
    M = F + 4 if M is None else M
    e = mag.bit_length() - 1
    m = (mag >> (e - M) if e >= M else mag << (M - e)) % (1 << M)
    return _emit(int(V < 0), (e + x - offset) * 2**F + _log_fraction(m, M, F) + _bias(fmt), fmt)


def dot_log(a, b, fa, fb, facc, o_acc, tabs, L):
    flags = 0

    def note(result):
        nonlocal flags
        word, events = result
        flags |= (ACC_SATURATE if events & SATURATE else 0) | (ACC_UNDERFLOW if events & UNDERFLOW else 0)
        return word

    lanes = [0] * L
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        product = _product(x, y, fa, fb, facc[1])
        if product:
            sign, raw = product
            term = note(_emit(sign, raw - o_acc * 2 ** facc[1] + _bias(facc), facc))
            lanes[k % L] = note(add(lanes[k % L], term, facc, tabs))
    while len(lanes) > 1:
        lanes = [note(add(lanes[i], lanes[i + 1], facc, tabs)) for i in range(0, len(lanes), 2)]
    return lanes[0], flags


def update_constants(fw, fu_bits, kappa, lr, clip, C, og_prev, og, t):
    lr, clip = Fraction(lr), Fraction(clip)
    unit = 2**fu_bits
    return {
        "read": 2 * (og_prev - og) * unit - kappa,
        "term": -_exact(-1, kappa, fu_bits) - C * unit,
        "correction": C * unit + _exact(-1, kappa * t, fu_bits),
        "clip": _round(unit * _log2(MP.mpf(clip.numerator) / clip.denominator)),
        "lr": _round(unit * _log2(MP.mpf(lr.numerator) / lr.denominator * 2 ** fw[1] / MP.ln2)),
    }


def update(w, g, v, fw, fg, fm, tabs, T, r, rounding, flip, constants, random=0):
    sign_w, code = _split(w, fw)
    sign_g, code_g = _split(g, fg)
    G2 = 2 * (code_g - _bias(fg)) << (fm[1] - fg[1])
    read, read_events = _emit(0, v + constants["read"], fm) if v else (0, 0)
    term, term_events = _emit(0, G2 + constants["term"] + _bias(fm), fm) if code_g else (0, 0)
    new_v, add_events = add(read, term, fm, tabs)
    moment_events = read_events | term_events | add_events
    if code_g == 0 or new_v == 0:
        return w, new_v, 0, moment_events

    events = 0
    n = (G2 - (new_v - _bias(fm)) - constants["correction"]) >> 1
    if n > constants["clip"]:
        n, events = constants["clip"], CLIP
    S = _antilog(n + constants["lr"], r, T, fm[1])
    step = S >> r
    if rounding == "stochastic":
        step = (S + random) >> r
    elif r:
        low, half = S % (1 << r), 1 << (r - 1)
        step += int(low > half or (low == half and step % 2 == 1))

    code += step if sign_g != sign_w else -step
    if code > _max(fw):
        code, events = _max(fw), events | SATURATE
    elif code < 1:
        code, events = 1, events | UNDERFLOW
        sign_w ^= int(flip)
    return _join(sign_w, code, fw), new_v, events, moment_events


def lfsr_seed(run_seed, lane):
    mask = 0xFFFFFFFF
    x = (run_seed * 0x9E3779B9 + (lane + 1) * 0x7F4A7C15) & mask
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & mask
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & mask
    return (x ^ (x >> 16)) or 1


def lfsr_draws(states, n, r):
    states = list(states)
    values = []
    for _ in range(-(-n // len(states))):
        for lane, s in enumerate(states):
            for _ in range(r):
                s = (s << 1 | ((s >> 31 ^ s >> 21 ^ s >> 1 ^ s) & 1)) & 0xFFFFFFFF
            states[lane] = s
            values.append(s % (1 << r))
    return values[:n], states


def loss(logits, y, fz, o_z, fl, tabs_l, T, fe, o_e, rounding="nearest"):
    c_e = _round(2 ** fz[1] * _log2(1 / MP.ln2))
    codes, events = [], []
    for z in logits:
        sign, code = _split(z, fz)
        x = _antilog(code - _bias(fz) + o_z * 2 ** fz[1] + c_e, fl[1], T, fz[1]) if code else 0
        wanted = (-x if sign else x) + _bias(fl)
        codes.append(max(1, min(_max(fl), wanted)))
        events.append(ACC_SATURATE if codes[-1] != wanted else 0)

    lse, lse_events = codes[0], 0
    for code in codes[1:]:
        lse, flags = add(lse, code, fl, tabs_l)
        lse_events |= ACC_SATURATE if flags & SATURATE else 0

    errors = []
    for j, code in enumerate(codes):
        d, word, flags = lse - code, 0, 0
        if j != y:
            word, flags = _convert_raw(0, -d, fl[1], fe, 0, o_e, rounding)
        elif d:
            word, flags = _convert_raw(1, -tabs_l[1](d), fl[1], fe, 0, o_e, rounding)
        errors.append(word)
        events[j] |= flags | lse_events
    return errors, events, lse - codes[y]


def next_offset(offset, largest_code, saturated, fmt, holds_one, headroom=0):
    if saturated:
        offset += 1
    elif largest_code:
        offset += headroom - ((_max(fmt) - largest_code) >> fmt[1])
    if holds_one:
        limit = (_bias(fmt) - 1) >> fmt[1]
        offset = max(-limit, min(limit, offset))
    return offset
