import { readdir } from 'node:fs/promises'
import type { Clock } from '../daemon/clock.ts'
import { DailyCount, type DayCount } from '../daemon/daily-count.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { SteadyRate } from '../daemon/steady-rate.ts'
import type { Folders } from '../segments/folders.ts'
import type { DiskState } from './free-space.ts'
import type { StoreHealth, StoreState } from './store-health.ts'
import type { Failed, InFlight, UploadQueue } from './upload-queue.ts'

/** What `data/status/uploader.json` says, beside its header. */
export interface UploaderStatus extends DiskState, Record<string, unknown> {
  store: StoreState
  waiting: number
  waitingBytes: number
  /** When the footage of the oldest begins. */
  oldestWaiting?: string
  /** For how long the oldest has waited since it ended, as far as it is known. */
  waitedMs?: number
  inFlight: InFlight[]
  /** Files whose upload failed for a reason of their own, and is tried again. */
  failed: Failed[]
  /** What is wrong beside the store and single files. */
  problems: string[]
  lastUpload?: UploadDone
  uploadedToday: DayCount
  /** Of all uploads together; absent before the second look. */
  bytesPerSecond?: number
  quarantine: number
}

interface UploadDone {
  file: string
  key: string
  at: string
  seconds: number
  bytes: number
}

const lookEveryMs = 5000
/** More would only make the file long. */
const mostFailed = 20

/** Knows how the uploader is, and how much it has done. */
export class UploadStatus {
  readonly #folders: Folders
  readonly #problems: ProblemLog
  readonly #clock: Clock
  readonly #today: DailyCount
  readonly #rate = new SteadyRate()
  #doneBytes = 0
  #lastUpload: UploadDone | undefined
  #quarantine = 0

  /** `lastStatus` is what an earlier uploader said last. */
  constructor(
    folders: Folders,
    { problems, clock }: { problems: ProblemLog; clock: Clock },
    lastStatus: unknown,
  ) {
    const { uploadedToday } = (lastStatus ?? {}) as Partial<UploaderStatus>
    this.#today = new DailyCount(clock, uploadedToday)
    this.#folders = folders
    this.#problems = problems
    this.#clock = clock
  }

  shipped(upload: Omit<UploadDone, 'at'>): void {
    this.#today.add(upload.bytes)
    this.#doneBytes += upload.bytes
    this.#lastUpload = { ...upload, at: new Date(this.#clock.now()).toISOString() }
  }

  /** Looks into the quarantine now and then: the status itself must never wait for a disk. */
  async keepLooking(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const names = await readdir(this.#folders.quarantine).catch(() => [])
      this.#quarantine = names.filter((name) => name.endsWith('.mp4')).length
      await this.#clock.sleep(lookEveryMs, signal)
    }
  }

  of(queue: UploadQueue, health: StoreHealth, disk: DiskState): UploaderStatus {
    const { waiting, inFlight } = queue
    const sentBytes = inFlight.reduce((sum, it) => sum + it.sentBytes, this.#doneBytes)
    this.#rate.look(sentBytes, this.#clock.monotonicMs())
    const bytesPerSecond = this.#rate.perSecond && Math.round(this.#rate.perSecond)
    const oldestMs = waiting.reduce((least, { startMs }) => Math.min(least, startMs), Infinity)
    return {
      store: health.status,
      waiting: waiting.length,
      waitingBytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0),
      ...(waiting.length > 0 ? { oldestWaiting: new Date(oldestMs).toISOString() } : {}),
      inFlight,
      failed: queue.failed.slice(0, mostFailed),
      // What is wrong with a file is told under its path.
      problems: this.#problems.open
        .filter(({ subject }) => !subject.startsWith('/'))
        .map(({ text }) => text),
      ...(this.#lastUpload ? { lastUpload: this.#lastUpload } : {}),
      uploadedToday: this.#today.today,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      quarantine: this.#quarantine,
      ...disk,
    }
  }
}
