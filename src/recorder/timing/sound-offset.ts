import { median } from './clock-rate.ts'

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
/** Seconds by which a clock that goes with the time stamps seems to be off: it is rounded. */
const rounding = 0.0003
/** Each new report sets it anew. */
const steadyShare = 0.6
const leastSteps = 5
/** By how much time stamps in wrong units may be off. */
const leastRate = 0.4
/** A fragment is written after its frames have come, and soon after the next one has. */
const mostEarly = 0.3
const mostLate = 0.5
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
  #believesStamps: boolean | undefined
  #startedAt: number | undefined
  #probes: { at: number; off: number }[] = []
  #offset: number | undefined

  /**
   * Learns from fragments whether time stamps say how sound and picture belong together. With sender
   * reports FFmpeg writes the camera's clock into the `prft` box, which goes steadily with the time
   * stamps. Else it writes when it has written the fragment; where that is long after the frame behind
   * it was taken, nothing else tells when sound came.
   */
  learn(
    fragments: { frames: number; reference?: number | undefined }[],
    { stampOf, timeOf }: Record<'stampOf' | 'timeOf', (index: number) => number | undefined>,
  ): void {
    const steps: { clock: number; stamps: number }[] = []
    const lags: number[] = []
    for (const [n, { frames, reference }] of fragments.entries()) {
      const [before, beforeThat] = [fragments[n - 1], fragments[n - 2]]
      if (reference === undefined || before?.reference === undefined) continue
      lags.push(reference - (timeOf(frames) ?? NaN))
      const stamps = (stampOf(before.frames) ?? NaN) - (stampOf(beforeThat?.frames ?? 0) ?? NaN)
      if (stamps > 0) steps.push({ clock: reference - before.reference, stamps })
    }
    if (steps.length < leastSteps) return
    const rate = median(steps.map(({ clock, stamps }) => clock / stamps))
    const steady = steps.filter(({ clock, stamps }) => Math.abs(clock - rate * stamps) < rounding)
    const isSteady = steady.length > steps.length * steadyShare
    const isClock = isSteady && rate > leastRate && rate < 1 / leastRate
    const lag = median(lags)
    this.#believesStamps = isClock || lag < -mostEarly || lag > mostLate
  }

  /**
   * The offset of some sound in seconds, or that its time stamps are those of the picture. `doubt` is
   * how exactly it is known when sound came, in seconds.
   */
  of(probes: Probe[], doubt: number): number | 'as the picture' {
    const offs = probes.flatMap(({ at, byPicture }) =>
      byPicture === undefined ? [] : [{ at, off: byPicture - at }],
    )
    if (offs.length === 0) return 0
    this.#note(offs)
    const offset = this.#known()
    const worst = Math.max(...offs.map(({ off }) => Math.abs(off - (offset ?? 0))))
    if (offset === undefined) return worst > mostBelieved ? 0 : 'as the picture'
    return worst <= Math.max(unnoticed, doubt) ? 'as the picture' : offset
  }

  #note(offs: { at: number; off: number }[]): void {
    this.#startedAt ??= offs[0]?.at
    const untilAt = (this.#startedAt ?? 0) + untilSeconds
    if (this.#offset === undefined) this.#probes.push(...offs.filter(({ at }) => at <= untilAt))
  }

  /** Undefined while it isn't known yet. */
  #known(): number | undefined {
    if (this.#believesStamps === false) return 0
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
