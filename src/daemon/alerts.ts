import { isoAt, type Clock } from './clock.ts'
import { durationText } from './units.ts'

/** Something that is wrong at this moment, and worth waking somebody. */
export interface Trouble {
  /** Names it for as long as it lasts: `camera Front`. */
  subject: string
  /** What is wrong, and why: `not recording: no answer from 192.168.1.10:554`. */
  text: string
  /** How long it has to last until somebody is told. */
  afterMs: number
  /** How long it has lasted when it is seen first; 0 unless given. */
  lastedMs?: number
  /** It is over when it was not seen for so long; a minute unless given. */
  calmMs?: number
}

/** A trouble that is not over, as a status file keeps it. */
export interface Alert {
  subject: string
  text: string
  since: string
  /** Whether it has lasted for so long that somebody was told. */
  isTold: boolean
  /** It is over when it was not seen for so long. */
  calmMs: number
}

interface Known {
  text: string
  firstMs: number
  lastMs: number
  calmMs: number
  isTold: boolean
}

export interface AlertsDeps {
  /** Gets one text when a trouble has lasted, and one when it is over. */
  tell: (text: string) => void
  clock: Clock
}

export const usualCalmMs = 60_000

/** Knows what somebody must be told of. Nothing flaps: what comes and goes is one trouble that lasts. */
export class Alerts {
  readonly #deps: AlertsDeps
  readonly #known = new Map<string, Known>()

  /** `before` is what an earlier process knew last. */
  constructor(deps: AlertsDeps, before: Alert[]) {
    this.#deps = deps
    const { clock } = deps
    for (const { subject, since, ...rest } of before) {
      const nowMs = clock.monotonicMs()
      const lastedMs = Math.max(0, clock.now() - Date.parse(since)) || 0
      this.#known.set(subject, { ...rest, firstMs: nowMs - lastedMs, lastMs: nowMs })
    }
  }

  /** Takes all that is wrong now. */
  look(troubles: Trouble[]): void {
    const { clock, tell } = this.#deps
    const nowMs = clock.monotonicMs()
    for (const { subject, text, afterMs, lastedMs: before = 0, calmMs = usualCalmMs } of troubles) {
      const known = this.#known.get(subject)
      const firstMs = known?.firstMs ?? nowMs - before
      const lastedMs = nowMs - firstMs
      const wasTold = known?.isTold ?? false
      const isTold = wasTold || lastedMs >= afterMs
      this.#known.set(subject, { text, firstMs, lastMs: nowMs, calmMs, isTold })
      if (isTold && !wasTold) tell(`${subject}: ${text}${afterMs > 0 ? forText(lastedMs) : ''}`)
    }
    for (const [subject, { lastMs, firstMs, calmMs, isTold }] of this.#known) {
      if (nowMs - lastMs <= calmMs) continue
      this.#known.delete(subject)
      if (isTold) tell(`${subject}: well again, after ${durationText(lastMs - firstMs)}`)
    }
  }

  /** Whatever is not over, told of or not. */
  get open(): Alert[] {
    const { clock } = this.#deps
    return [...this.#known].map(([subject, { text, firstMs, isTold, calmMs }]) => ({
      ...{ subject, text, isTold, calmMs },
      since: isoAt(clock, firstMs),
    }))
  }
}

function forText(ms: number): string {
  return ` (for ${durationText(ms)})`
}
