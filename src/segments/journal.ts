import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, syncFile, syncFolder } from './folders.ts'

/** A folder of files `YYYY-MM-DD.ndjson`: one JSON object a line, only ever appended to. */
export class Journal<Line> {
  readonly #folder: string
  #appending: Promise<void> = Promise.resolve()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Returns when the lines are on the disk. */
  async append(lines: Line[], day: string): Promise<void> {
    const next = this.#appending.catch(() => {}).then(async () => this.#write(lines, day))
    this.#appending = next
    return next
  }

  /** Returns when the lines of a day are on the disk, whoever wrote them. */
  async sync(day: string): Promise<void> {
    await syncFile(this.path(day))
    await syncFolder(this.#folder)
  }

  path(day: string): string {
    return join(this.#folder, `${day}.ndjson`)
  }

  async #write(lines: Line[], day: string): Promise<void> {
    await makeFolder(this.#folder)
    const file = await open(this.path(day), 'a+')
    try {
      const { size } = await file.stat()
      const last = Buffer.alloc(1)
      if (size > 0) await file.read(last, 0, 1, size - 1)
      // A line that a power cut or a full disk has cut off stays the only one it spoils.
      const repair = size > 0 && last.toString() !== '\n' ? '\n' : ''
      const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
      await file.appendFile(`${repair}${text}`)
      await file.sync()
    } finally {
      await file.close()
    }
    await syncFolder(this.#folder)
  }
}
