import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import { maskForeignUrls } from '../daemon/redact.ts'

/** Most lines that are logged in each stretch of time: a start takes some dozens. */
const mostLines = 200
const stretchMs = 10_000

/** Logs what one FFmpeg says, at DEBUG; when a camera makes it chatter, only a part of that. */
export class FfmpegLines {
  readonly #camera: string
  readonly #log: Log
  readonly #clock: Clock
  #sinceMs = -Infinity
  #lines = 0

  constructor(camera: string, { log, clock }: { log: Log; clock: Clock }) {
    this.#camera = camera
    this.#log = log
    this.#clock = clock
  }

  add(line: string): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#sinceMs >= stretchMs) {
      this.finish()
      this.#sinceMs = nowMs
    }
    this.#lines += 1
    if (this.#lines <= mostLines)
      this.#log.debug({ camera: this.#camera, ffmpeg: maskForeignUrls(line) }, 'FFmpeg says')
  }

  /** Logs how many lines were left out, if any. */
  finish(): void {
    const leftOut = this.#lines - mostLines
    this.#lines = 0
    if (leftOut > 0)
      this.#log.debug({ camera: this.#camera, leftOut }, 'FFmpeg said more than is logged')
  }
}
