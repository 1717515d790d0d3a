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
  /** Not worth waking anybody, but not well either: what was told is not over. */
  isMild?: boolean
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
  /** Whether any look since the first did not see it. */
  comesAndGoes: boolean
}

export interface AlertsDeps {
  /** Gets one text when a trouble has lasted, and one when it is over. */
  tell: (text: string) => void
  clock: Clock
}

export const usualCalmMs = 60_000
const longestCalmMs = 15 * 60_000
const soonMs = 60 * 60_000

/** Knows what somebody must be told of. Nothing flaps: what comes and goes is one trouble that lasts. */
export class Alerts {
  readonly #deps: AlertsDeps
  readonly #known = new Map<string, Known>()
  /** How much calm it takes if what was told and is over is back before `untilMs`. */
  readonly #again = new Map<string, { calmMs: number; untilMs: number }>()

  /** `before` is what an earlier process knew last. */
  constructor(deps: AlertsDeps, before: Alert[]) {
    this.#deps = deps
    const { clock } = deps
    for (const { subject, since, ...rest } of before) {
      const nowMs = clock.monotonicMs()
      const lastedMs = Math.max(0, clock.now() - Date.parse(since)) || 0
      const times = { firstMs: nowMs - lastedMs, lastMs: nowMs }
      this.#known.set(subject, { ...rest, ...times, comesAndGoes: false })
    }
  }

  /** Takes all that is wrong now. */
  look(troubles: Trouble[]): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const trouble of troubles) this.#see(trouble, nowMs)
    for (const [subject, known] of this.#known) {
      if (known.lastMs < nowMs) known.comesAndGoes = true
      if (nowMs - known.lastMs > known.calmMs) this.#end(subject, known, nowMs)
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

  /** Says nothing more of these, not even that they are over. */
  forget(which: (alert: Alert) => boolean): void {
    for (const alert of this.open) if (which(alert)) this.#known.delete(alert.subject)
  }

  #see(trouble: Trouble, nowMs: number): void {
    const { subject, text, afterMs, lastedMs: before = 0, isMild = false } = trouble
    const known = this.#known.get(subject)
    if (isMild && !known?.isTold) return
    const {
      firstMs,
      isTold: wasTold,
      calmMs,
      comesAndGoes,
    } = known ?? {
      ...{ firstMs: nowMs - before, isTold: false, comesAndGoes: false },
      calmMs: this.#calmMs(trouble, nowMs),
    }
    const lastedMs = nowMs - firstMs
    const isTold = wasTold || lastedMs >= afterMs
    this.#known.set(subject, { text, firstMs, lastMs: nowMs, calmMs, isTold, comesAndGoes })
    if (wasTold || !isTold) return
    const how = comesAndGoes ? 'it comes and goes, ' : ''
    const forHowLong = afterMs > 0 ? ` (${how}for ${durationText(lastedMs)})` : ''
    this.#deps.tell(`${subject}: ${text}${forHowLong}`)
  }

  #end(subject: string, { firstMs, lastMs, calmMs, isTold }: Known, nowMs: number): void {
    this.#known.delete(subject)
    if (!isTold) return
    const longerMs = Math.min(2 * calmMs, longestCalmMs)
    this.#again.set(subject, { calmMs: longerMs, untilMs: nowMs + soonMs })
    this.#deps.tell(`${subject}: well again, after ${durationText(lastMs - firstMs)}`)
  }

  #calmMs({ subject, calmMs = usualCalmMs }: Trouble, nowMs: number): number {
    const again = this.#again.get(subject)
    return again && nowMs < again.untilMs ? Math.max(calmMs, again.calmMs) : calmMs
  }
}
