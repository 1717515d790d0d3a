import { mkdir, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ignoreMissing, syncFolder } from './folders.ts'

/** A folder of files `YYYY-MM-DD.ndjson`: one JSON object a line, only ever appended to. */
export class Journal<Line> {
  readonly #folder: string
  #appending: Promise<void> = Promise.resolve()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Returns when the line is on the disk. */
  async append(line: Line, day: string): Promise<void> {
    const next = this.#appending.catch(() => {}).then(async () => this.#write(line, day))
    this.#appending = next
    return next
  }

  path(day: string): string {
    return join(this.#folder, `${day}.ndjson`)
  }

  async #write(line: Line, day: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    const path = this.path(day)
    const isNew = (await stat(path).catch(ignoreMissing)) === undefined
    const file = await open(path, 'a+')
    try {
      const { size } = await file.stat()
      const last = Buffer.alloc(1)
      if (size > 0) await file.read(last, 0, 1, size - 1)
      // A line that a power cut or a full disk has cut off stays the only one it spoils.
      const repair = size > 0 && last.toString() !== '\n' ? '\n' : ''
      await file.appendFile(`${repair}${JSON.stringify(line)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    if (isNew) await syncFolder(this.#folder)
  }
}
