import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { usualCalmMs, type Alert } from './alerts.ts'
import type { Clock } from './clock.ts'

const lastWords = z.object({
  startedAt: z.string(),
  updatedAt: z.string(),
  alerts: z
    .array(
      z.object({
        subject: z.string(),
        text: z.string(),
        since: z.string(),
        isTold: z.boolean(),
        calmMs: z.number().default(usualCalmMs),
      }),
    )
    .default([]),
  /** What could not be delivered yet. */
  alertsWaiting: z.array(z.string()).default([]),
})

/** What a daemon has said last of its alerts. */
export interface LastAlerts {
  alerts: Alert[]
  alertsWaiting: string[]
  /** When it was said, in epoch ms. */
  saidMs: number
}

/** What can be told of a daemon from its status file; each in ms, by our own clock. */
export interface Signs {
  /** For how long it has given no sign of life. */
  silentMs: number
  /** For how long no process of it has given one that had lived for a while. */
  unsteadyMs: number
  /** For how long it has said nothing new: on a full disk it can only touch what it said before. */
  speechlessMs: number
  /** What it knows to be wrong. */
  alerts: Alert[]
}

/** A daemon says how it is every 2 s; whoever has looked away for longer than this has missed signs. */
const longestBlinkMs = 10_000

/** Watches the status file of a daemon; by our own clock, for that on the wall may jump. */
export class OtherDaemon {
  readonly name: string
  readonly #path: string
  readonly #clock: Clock
  /** One that has just been started may be started again and again. */
  readonly #steadyAfterMs: number
  #mtimeMs: number | undefined
  #updatedAt: string | undefined
  #lookedMs: number
  #signMs: number
  #steadySignMs: number
  #wordMs: number

  constructor(
    { folder, name, steadyAfterMs }: { folder: string; name: string; steadyAfterMs: number },
    clock: Clock,
  ) {
    this.name = name
    this.#path = join(folder, `${name}.json`)
    this.#clock = clock
    this.#steadyAfterMs = steadyAfterMs
    this.#lookedMs = clock.monotonicMs()
    this.#signMs = this.#lookedMs
    this.#steadySignMs = this.#lookedMs
    this.#wordMs = this.#lookedMs
  }

  /** Looks at it, which has to be done every few seconds. */
  async look(): Promise<Signs> {
    const mtimeMs = (await stat(this.#path).catch(() => undefined))?.mtimeMs
    const status = parse(await readFile(this.#path, 'utf8').catch(() => ''))
    const { data } = lastWords.safeParse(status)
    const nowMs = this.#clock.monotonicMs()
    this.#forgive(nowMs)
    if (mtimeMs !== this.#mtimeMs) {
      this.#signMs = nowMs
      if (this.#isSteady(data)) this.#steadySignMs = nowMs
    }
    if (data && data.updatedAt !== this.#updatedAt) this.#wordMs = nowMs
    this.#mtimeMs = mtimeMs
    this.#updatedAt = data?.updatedAt
    return {
      silentMs: nowMs - this.#signMs,
      unsteadyMs: nowMs - this.#steadySignMs,
      speechlessMs: nowMs - this.#wordMs,
      alerts: data?.alerts ?? [],
    }
  }

  /** While our own process, or the whole machine, stood still, nothing of the other was missed. */
  #forgive(nowMs: number): void {
    const missedMs = Math.max(0, nowMs - this.#lookedMs - longestBlinkMs)
    this.#lookedMs = nowMs
    this.#signMs += missedMs
    this.#steadySignMs += missedMs
    this.#wordMs += missedMs
  }

  #isSteady(data: z.infer<typeof lastWords> | undefined): boolean {
    // On a full disk nothing can be said.
    if (!data) return true
    return Date.parse(data.updatedAt) - Date.parse(data.startedAt) >= this.#steadyAfterMs
  }
}

/** The alerts that a status file tells of. */
export function lastAlerts(status: unknown): LastAlerts {
  const { data } = lastWords.safeParse(status)
  const { alerts = [], alertsWaiting = [], updatedAt = '' } = data ?? {}
  return { alerts, alertsWaiting, saidMs: Date.parse(updatedAt) || 0 }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
