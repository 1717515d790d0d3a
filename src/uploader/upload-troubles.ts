import { lstat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Trouble } from '../daemon/alerts.ts'
import type { Clock } from '../daemon/clock.ts'
import { bytesText, durationText } from '../daemon/units.ts'
import type { DiskState } from './free-space.ts'
import type { StoreHealth } from './store-health.ts'
import type { Unfinished, UploadQueue } from './upload-queue.ts'
import type { UploaderStatus } from './upload-status.ts'

/** For a while nothing waits, or some room is free, and the cause is still there. */
const calmMs = 15 * 60_000

export interface UploadLagDeps {
  queue: Pick<UploadQueue, 'unfinished' | 'failed'>
  health: Pick<StoreHealth, 'status'>
  clock: Clock
  /** How late an upload may be until somebody is told. */
  uploadLagMs: number
}

/** Knows how long the oldest file that isn't in S3 has waited, whatever the clock says, and through restarts. */
export class UploadLag {
  readonly #deps: UploadLagDeps
  /** What the oldest had waited when an earlier uploader ended; 0 once nothing waits. */
  #beforeMs: number
  #waitedMs: number
  #hasSeenAny = false

  /** `lastStatus` is what an earlier uploader said last. */
  constructor(deps: UploadLagDeps, lastStatus: unknown) {
    this.#deps = deps
    const { waitedMs } = (lastStatus ?? {}) as Partial<UploaderStatus>
    this.#beforeMs = Number(waitedMs) || 0
    this.#waitedMs = this.#beforeMs
  }

  /** As of the last look; for the status file. */
  get waitedMs(): number {
    return this.#waitedMs
  }

  /** Whether it has waited for too long, and why; once it has, until it is half as long. */
  async troubles(): Promise<Trouble[]> {
    const { queue, health, uploadLagMs } = this.#deps
    const oldest = await this.#look()
    const waitedMs = this.#waitedMs
    if (!oldest || waitedMs < uploadLagMs / 2) return []
    const own = queue.failed.find(({ file }) => file === basename(oldest.path))
    const problem = health.status.problem ?? own?.problem
    const why = problem === undefined ? '' : `: ${problem}`
    const text = `a file has been waiting for S3 for ${durationText(waitedMs)}${why}`
    // The oldest has waited for less with each that is shipped, and for more until the next is.
    const isMild = waitedMs < uploadLagMs
    return [{ subject: 'uploads', text, lastedMs: waitedMs, afterMs: 0, calmMs, isMild }]
  }

  async #look(): Promise<Unfinished | undefined> {
    const { queue, clock } = this.#deps
    const [first, ...others] = queue.unfinished
    if (!first) {
      // At the start they have yet to be found.
      if (this.#hasSeenAny) this.#beforeMs = this.#waitedMs = 0
      return undefined
    }
    this.#hasSeenAny = true
    const oldest = others.reduce((a, b) => (b.startMs < a.startMs ? b : a), first)
    const info = await lstat(oldest.path).catch(() => undefined)
    if (!info) return undefined
    const knownMs = clock.monotonicMs() - oldest.offeredMs + this.#beforeMs
    this.#waitedMs = Math.max(0, Math.min(clock.now() - info.mtimeMs, knownMs))
    return oldest
  }
}

/** Whether less than MIN_FREE_DISK_GB is free, though what may be pruned early was. */
export function diskTroubles({ freeBytes, minFreeBytes }: DiskState, afterMs: number): Trouble[] {
  if (freeBytes === undefined || freeBytes >= minFreeBytes) return []
  const text = `${bytesText(freeBytes)} free, less than MIN_FREE_DISK_GB (${bytesText(minFreeBytes)})`
  return [{ subject: 'the disk', text, afterMs, calmMs }]
}
