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

/** Watches the status file of a daemon; by our own clock, for that on the wall may jump. */
export class OtherDaemon {
  readonly name: string
  readonly #path: string
  readonly #clock: Clock
  /** One that has just been started may be started again and again. */
  readonly #steadyAfterMs: number
  #mtimeMs: number | undefined
  #signMs: number

  constructor(
    { folder, name, steadyAfterMs }: { folder: string; name: string; steadyAfterMs: number },
    clock: Clock,
  ) {
    this.name = name
    this.#path = join(folder, `${name}.json`)
    this.#clock = clock
    this.#steadyAfterMs = steadyAfterMs
    this.#signMs = clock.monotonicMs()
  }

  /** For how long no process of it has given a sign of life that had lived for a while; in ms. */
  async silentMs(): Promise<number> {
    const mtimeMs = (await stat(this.#path).catch(() => undefined))?.mtimeMs
    const nowMs = this.#clock.monotonicMs()
    if (mtimeMs !== this.#mtimeMs && (await this.#isSteady())) this.#signMs = nowMs
    this.#mtimeMs = mtimeMs
    return nowMs - this.#signMs
  }

  /** What it knows to be wrong. */
  async alerts(): Promise<Alert[]> {
    return lastAlerts(await this.#read()).alerts
  }

  async #isSteady(): Promise<boolean> {
    const { data } = lastWords.safeParse(await this.#read())
    // On a full disk nothing can be said.
    if (!data) return true
    return Date.parse(data.updatedAt) - Date.parse(data.startedAt) >= this.#steadyAfterMs
  }

  async #read(): Promise<unknown> {
    return parse(await readFile(this.#path, 'utf8').catch(() => ''))
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
