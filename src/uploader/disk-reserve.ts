import { randomBytes } from 'node:crypto'
import { appendFile, mkdir, stat, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ignoreMissing } from '../segments/folders.ts'

const fullBytes = 1 << 20
/** A recording that starts again may snatch a piece away. */
const pieceBytes = 1 << 16

/**
 * Room that is kept for a full disk: without a line in the ledger nothing could be deleted there,
 * and without a deletion no line be written.
 */
export class DiskReserve {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Takes the room, or as much of it as there is. */
  async fill(): Promise<void> {
    const missing = fullBytes - (await this.#bytes())
    if (missing <= 0) return
    await mkdir(dirname(this.#path), { recursive: true })
    // Random, for a file system may squeeze zeros into nothing.
    await appendFile(this.#path, randomBytes(missing))
  }

  /** Gives a piece of it up; false where none is left. */
  async give(): Promise<boolean> {
    const bytes = await this.#bytes()
    if (bytes === 0) return false
    await truncate(this.#path, Math.max(0, bytes - pieceBytes))
    return true
  }

  async #bytes(): Promise<number> {
    return (await stat(this.#path).catch(ignoreMissing))?.size ?? 0
  }
}
