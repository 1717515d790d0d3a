/** A sample of sound: when it came, and when it was taken if its time stamp is of the picture's clock. */
interface Probe {
  /** In seconds. */
  at: number
  byPicture: number | undefined
}

/** Sound that is off by less than this goes with the picture. */
const unnoticed = 0.12
/** What a camera's sender reports say is believed as far as this. */
const mostBelieved = 3
/** A camera's first sender report may change the distance, and few seconds tell little. */
const fromSeconds = 6
const leastSeconds = 20
const untilSeconds = 40

/**
 * By how much the sound of a run is taken earlier or later than it comes, beside the picture: what the
 * camera's sender reports say, and nothing without them. FFmpeg lets both begin at once if there is no
 * report, whenever they began.
 */
export class SoundOffset {
  #hasReports: boolean | undefined
  #startedAt: number | undefined
  #probes: { at: number; off: number }[] = []
  #offset: number | undefined

  /**
   * Learns from fragments whether there are sender reports: FFmpeg then writes the camera's clock into
   * the `prft` box, and else the moment at which it writes the fragment.
   */
  learn(
    fragments: { frames: number; reference?: number | undefined }[],
    timeOf: (index: number) => number,
  ): void {
    const offs = fragments.slice(1).flatMap(({ frames, reference }) => {
      return reference === undefined ? [] : [reference - timeOf(frames)]
    })
    if (offs.length < 3) return
    offs.sort((a, b) => a - b)
    const off = offs[Math.floor(offs.length / 2)] ?? 0
    this.#hasReports = off < -0.3 || off > 0.5
  }

  /** The offset of some sound in seconds, or that its time stamps are those of the picture. */
  of(probes: Probe[]): number | 'as the picture' {
    const offs = probes.flatMap(({ at, byPicture }) =>
      byPicture === undefined ? [] : [{ at, off: byPicture - at }],
    )
    if (offs.length === 0) return 0
    this.#note(offs)
    const offset = this.#known()
    const worst = Math.max(...offs.map(({ off }) => Math.abs(off - (offset ?? 0))))
    if (offset === undefined) return worst > mostBelieved ? 0 : 'as the picture'
    return worst <= unnoticed ? 'as the picture' : offset
  }

  #note(offs: { at: number; off: number }[]): void {
    this.#startedAt ??= offs[0]?.at
    if (this.#offset === undefined) this.#probes.push(...offs)
  }

  /** Undefined while it isn't known yet. */
  #known(): number | undefined {
    if (this.#hasReports === false) return 0
    if (this.#offset !== undefined) return this.#offset
    const startedAt = this.#startedAt ?? 0
    const usable = this.#probes.filter(
      ({ at }) => at - startedAt >= fromSeconds && at - startedAt <= untilSeconds,
    )
    const last = usable.at(-1)
    if (!last || last.at - startedAt < leastSeconds) return undefined
    const begin = atBeginning(usable, startedAt)
    this.#offset = Math.abs(begin) > mostBelieved ? 0 : begin
    return this.#offset
  }
}

/** What the offs were when all began, if they have changed steadily since (Theil and Sen). */
function atBeginning(offs: { at: number; off: number }[], startedAt: number): number {
  const slopes = offs.flatMap((a, n) =>
    offs.slice(n + 1).flatMap((b) => (b.at - a.at > 2 ? [(b.off - a.off) / (b.at - a.at)] : [])),
  )
  const slope = Math.abs(median(slopes)) < 0.004 ? 0 : median(slopes)
  return median(offs.map(({ at, off }) => off - slope * (at - startedAt)))
}

function median(numbers: number[]): number {
  numbers.sort((a, b) => a - b)
  return numbers[Math.floor(numbers.length / 2)] ?? 0
}
