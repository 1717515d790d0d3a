import type { Clock } from '../daemon/clock.ts'

/** What was not used may be made up for: timers wake late, and a line that must be full is never idle. */
const creditMs = 200

/** How fast everything together may be sent, so that a site's line stays usable for others. */
export class UpstreamLimit {
  /** What one upload may send at a time: a quarter of a second of it all, for the others wait. */
  readonly turnBytes: number
  readonly #bytesPerMs: number
  readonly #clock: Clock
  #freeAtMs = -Infinity

  /** A million bits a second, of what is sent as content; headers come on top, 1% or so. */
  constructor(megabitsPerSecond: number, clock: Clock) {
    this.#bytesPerMs = (megabitsPerSecond * 1e6) / 8 / 1000
    this.turnBytes = Math.round(Math.min(64 * 1024, Math.max(1024, this.#bytesPerMs * 250)))
    this.#clock = clock
  }

  /** Resolves when so much may be sent, or at once when the signal aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    const startMs = Math.max(this.#freeAtMs, nowMs - creditMs)
    this.#freeAtMs = startMs + bytes / this.#bytesPerMs
    if (startMs > nowMs) await this.#clock.sleep(startMs - nowMs, signal)
  }
}
