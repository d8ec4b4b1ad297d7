/** Steps after which a search for the best middle is cut off; bounds the time on files that have little in common. */
const LEAST_STEP_LIMIT = 256;
const UNREACHED_FORWARD = -1;
const UNREACHED_BACKWARD = 0x7fffffff;

interface Box {
  readonly aFrom: number;
  readonly aTo: number;
  readonly bFrom: number;
  readonly bTo: number;
  /** The best middle is known to be near: searched to the end, without the step limit. */
  readonly exact: boolean;
}

interface Middle {
  readonly a: number;
  readonly b: number;
  readonly exactBefore: boolean;
  readonly exactAfter: boolean;
}

/**
 * Which elements of `a` and of `b` are not in their longest common subsequence (1 = not in it).
 *
 * Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), section 4b, the linear-space
 * variant: both ends search towards each other, and the box is split where they meet. Where several
 * subsequences are equally long the choice (higher diagonals first, deletion before insertion) is the one
 * that native git makes, because two people who merge the same files must see the same result.
 * Time is O((n + m) · limit) with limit = max(256, about √(n + m)); past it the result is a correct but
 * perhaps not the shortest difference.
 */
export function unmatched(a: Int32Array, b: Int32Array): { a: Uint8Array; b: Uint8Array } {
  const search = new MiddleSearch(a, b);
  const marks = { a: new Uint8Array(a.length), b: new Uint8Array(b.length) };
  const open: Box[] = [{ aFrom: 0, aTo: a.length, bFrom: 0, bTo: b.length, exact: false }];
  for (let box = open.pop(); box !== undefined; box = open.pop()) {
    let { aFrom, aTo, bFrom, bTo } = box;
    while (aFrom < aTo && bFrom < bTo && a[aFrom] === b[bFrom]) {
      aFrom++;
      bFrom++;
    }
    while (aFrom < aTo && bFrom < bTo && a[aTo - 1] === b[bTo - 1]) {
      aTo--;
      bTo--;
    }
    if (aFrom === aTo) marks.b.fill(1, bFrom, bTo);
    else if (bFrom === bTo) marks.a.fill(1, aFrom, aTo);
    else {
      const middle = search.find({ aFrom, aTo, bFrom, bTo, exact: box.exact });
      open.push({ aFrom: middle.a, aTo, bFrom: middle.b, bTo, exact: middle.exactAfter });
      open.push({ aFrom, aTo: middle.a, bFrom, bTo: middle.b, exact: middle.exactBefore });
    }
  }
  return marks;
}

/** The search from both ends of a box. Diagonal k holds the points with (position in a) − (position in b) = k. */
class MiddleSearch {
  private readonly forward: Int32Array;
  private readonly backward: Int32Array;
  private readonly shift: number;
  private readonly stepLimit: number;

  constructor(
    private readonly a: Int32Array,
    private readonly b: Int32Array,
  ) {
    const diagonals = a.length + b.length + 3;
    this.forward = new Int32Array(diagonals + 1);
    this.backward = new Int32Array(diagonals + 1);
    this.shift = b.length + 1;
    this.stepLimit = Math.max(LEAST_STEP_LIMIT, powerOfTwoNearSqrt(diagonals));
  }

  find(box: Box): Middle {
    const { a, b, forward, backward, shift } = this;
    const { aFrom, aTo, bFrom, bTo } = box;
    const lowest = aFrom - bTo;
    const highest = aTo - bFrom;
    const start = aFrom - bFrom;
    const end = aTo - bTo;
    const meetsGoingForward = ((start - end) & 1) !== 0;
    let [forwardLow, forwardHigh, backwardLow, backwardHigh] = [start, start, end, end];
    forward[start + shift] = aFrom;
    backward[end + shift] = aTo;

    for (let steps = 1; ; steps++) {
      // A diagonal outside the box is never entered: the range shrinks from that side instead of growing.
      if (forwardLow > lowest) forward[--forwardLow - 1 + shift] = UNREACHED_FORWARD;
      else ++forwardLow;
      if (forwardHigh < highest) forward[++forwardHigh + 1 + shift] = UNREACHED_FORWARD;
      else --forwardHigh;
      for (let k = forwardHigh; k >= forwardLow; k -= 2) {
        const below = forward[k - 1 + shift] as number;
        const above = forward[k + 1 + shift] as number;
        let x = below >= above ? below + 1 : above;
        while (x < aTo && x - k < bTo && a[x] === b[x - k]) x++;
        forward[k + shift] = x;
        if (meetsGoingForward && k >= backwardLow && k <= backwardHigh && (backward[k + shift] as number) <= x) {
          return { a: x, b: x - k, exactBefore: true, exactAfter: true };
        }
      }

      if (backwardLow > lowest) backward[--backwardLow - 1 + shift] = UNREACHED_BACKWARD;
      else ++backwardLow;
      if (backwardHigh < highest) backward[++backwardHigh + 1 + shift] = UNREACHED_BACKWARD;
      else --backwardHigh;
      for (let k = backwardHigh; k >= backwardLow; k -= 2) {
        const below = backward[k - 1 + shift] as number;
        const above = backward[k + 1 + shift] as number;
        let x = below < above ? below : above - 1;
        while (x > aFrom && x - k > bFrom && a[x - 1] === b[x - k - 1]) x--;
        backward[k + shift] = x;
        if (!meetsGoingForward && k >= forwardLow && k <= forwardHigh && x <= (forward[k + shift] as number)) {
          return { a: x, b: x - k, exactBefore: true, exactAfter: true };
        }
      }

      if (!box.exact && steps >= this.stepLimit) {
        return this.furthest(box, { forwardLow, forwardHigh, backwardLow, backwardHigh });
      }
    }
  }

  /** Gives up the best middle: splits at the point where either search came furthest. */
  private furthest(
    { aFrom, aTo, bFrom, bTo }: Box,
    range: { forwardLow: number; forwardHigh: number; backwardLow: number; backwardHigh: number },
  ): Middle {
    let ahead = { sum: -1, a: -1 };
    for (let k = range.forwardHigh; k >= range.forwardLow; k -= 2) {
      let x = Math.min(this.forward[k + this.shift] as number, aTo);
      if (x - k > bTo) x = bTo + k;
      if (ahead.sum < 2 * x - k) ahead = { sum: 2 * x - k, a: x };
    }
    let behind = { sum: UNREACHED_BACKWARD, a: UNREACHED_BACKWARD };
    for (let k = range.backwardHigh; k >= range.backwardLow; k -= 2) {
      let x = Math.max(this.backward[k + this.shift] as number, aFrom);
      if (x - k < bFrom) x = bFrom + k;
      if (2 * x - k < behind.sum) behind = { sum: 2 * x - k, a: x };
    }
    return aTo + bTo - behind.sum < ahead.sum - (aFrom + bFrom)
      ? { a: ahead.a, b: ahead.sum - ahead.a, exactBefore: true, exactAfter: false }
      : { a: behind.a, b: behind.sum - behind.a, exactBefore: false, exactAfter: true };
  }
}

/** A power of two between √n and 2√n; an estimate is all that limits need. */
export function powerOfTwoNearSqrt(n: number): number {
  let root = 1;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 4)) root *= 2;
  return root;
}
