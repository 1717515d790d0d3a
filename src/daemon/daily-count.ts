import { z } from 'zod'
import type { Clock } from './clock.ts'
import { localTime } from './local-time.ts'

/** How often something has happened on a day. */
export interface DayCount {
  /** `2025-01-25`, of local time. */
  day: string
  count: number
  /** What was counted along, if anything. */
  bytes: number
}

const dayCount = z.object({ day: z.string(), count: z.number(), bytes: z.number() })

/** Counts what happens each day, across restarts of its process. */
export class DailyCount {
  readonly #clock: Clock
  #last: DayCount

  /** `before` is what an earlier process counted last, whatever that was. */
  constructor(clock: Clock, before: unknown) {
    this.#clock = clock
    this.#last = dayCount.safeParse(before).data ?? { day: '', count: 0, bytes: 0 }
  }

  add(bytes = 0): void {
    const { day, count, bytes: before } = this.today
    this.#last = { day, count: count + 1, bytes: before + bytes }
  }

  get today(): DayCount {
    const day = localTime(this.#clock.now()).date
    return this.#last.day === day ? this.#last : { day, count: 0, bytes: 0 }
  }
}
