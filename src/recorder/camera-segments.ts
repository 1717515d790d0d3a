import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import { hasCode } from '../segments/folders.ts'
import type { OpenSegments } from './open-segments.ts'

/** FFmpeg says that it opens a file just before it does. */
const createdAtMostMs = 2000
const lookEveryMs = 20

/** A fragment of a second may be on its way besides. */
const syncEveryMs = 3000

/** The segments of one camera on their way out of `recordings/open/`, one after the other. */
export class CameraSegments {
  readonly #camera: string
  readonly #folder: OpenSegments
  readonly #clock: Clock
  readonly #log: Log
  /** The names of those that FFmpeg has begun and not closed, oldest first. */
  #begun: Promise<string>[] = []
  #closing: Promise<void> = Promise.resolve()

  constructor(camera: string, deps: { segments: OpenSegments; clock: Clock; log: Log }) {
    this.#camera = camera
    this.#folder = deps.segments
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** FFmpeg begins a segment of this name. */
  opened(file: string): void {
    this.#begun.push(this.#claim(file))
  }

  /** FFmpeg has closed the oldest of those that it began. */
  closed(file: string, seconds: number): void {
    this.#close(this.#begun.shift() ?? Promise.resolve(file), seconds)
  }

  /** FFmpeg has ended; returns when everything that it left behind is in `recordings/`. */
  async closeAll(): Promise<void> {
    await Promise.all(this.#begun)
    this.#begun = []
    await this.#closing
    for (const file of await this.#folder.list(this.#camera)) this.#close(Promise.resolve(file))
    await this.#closing
  }

  /** Puts what FFmpeg has written on the disk now and then: a power cut takes no more than 5 s. */
  async keepSynced(signal: AbortSignal): Promise<void> {
    let named: string | undefined
    while (!signal.aborted) {
      await this.#clock.sleep(syncEveryMs, signal)
      const file = await this.#begun.at(-1)
      if (file === undefined) continue
      try {
        if (file !== named) await this.#folder.syncNames()
        named = file
        await this.#folder.sync(file)
      } catch (error) {
        this.#log.debug({ camera: this.#camera, file, error }, 'segment not synced')
      }
    }
  }

  async #claim(file: string): Promise<string> {
    const untilMs = this.#clock.monotonicMs() + createdAtMostMs
    for (;;) {
      try {
        return await this.#folder.claim(file)
      } catch (error) {
        if (hasCode(error, 'ENOENT') && this.#clock.monotonicMs() < untilMs)
          await this.#clock.sleep(lookEveryMs)
        else return file
      }
    }
  }

  #close(name: Promise<string>, seconds?: number): void {
    const camera = this.#camera
    this.#closing = this.#closing.then(async () => {
      const file = await name
      try {
        const closed = await this.#folder.close(file)
        const rounded = seconds === undefined ? undefined : Math.round(seconds * 100) / 100
        if (closed) this.#log.info({ camera, ...closed, seconds: rounded }, 'segment finished')
      } catch (error) {
        this.#log.error({ camera, file, error }, 'segment not moved out of recordings/open/')
      }
    })
  }
}
