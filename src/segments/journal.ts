import { createReadStream } from 'node:fs'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ignoreMissing, makeFolder, syncFile, syncFolder } from './folders.ts'

const newline = 10

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

  /** The days of which there are lines, in their order. */
  async days(): Promise<string[]> {
    const names = (await readdir(this.#folder).catch(ignoreMissing)) ?? []
    return names.flatMap((name) => /^(\d{4}-\d\d-\d\d)\.ndjson$/.exec(name)?.[1] ?? []).sort()
  }

  /** The lines of a day, without those that a crash has cut off. */
  async lines(day: string): Promise<Partial<Line>[]> {
    const text = (await readFile(this.path(day), 'utf8').catch(ignoreMissing)) ?? ''
    return text.split('\n').flatMap((json) => parseLine(json) ?? [])
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

/** Nothing of a line that is cut off. */
function parseLine<Line>(json: string): Partial<Line> | undefined {
  try {
    const line = JSON.parse(json) as Partial<Line> | null
    return typeof line === 'object' && line ? line : undefined
  } catch {
    return undefined
  }
}

/** The values of one day, and how far its lines have been read. */
interface Read<Value> {
  inode: number
  bytes: number
  values: Map<string, Value>
  reading: Promise<void>
}

/** Values that `add` makes of a journal's lines, by key. Each line is read once: a journal only ever grows at its end. */
export class JournalReader<Line, Value> {
  readonly #journal: Journal<Line>
  readonly #daysKept: number
  readonly #add: (line: Partial<Line>, values: Map<string, Value>) => void
  /** Those that were asked for last come last. */
  readonly #read = new Map<string, Read<Value>>()

  constructor(
    journal: Journal<Line>,
    daysKept: number,
    add: (line: Partial<Line>, values: Map<string, Value>) => void,
  ) {
    this.#journal = journal
    this.#daysKept = daysKept
    this.#add = add
  }

  /** Those of a day. One that can't be read is an error, or with `orPart` what could be read of it. */
  async of(day: string, { orPart = false } = {}): Promise<ReadonlyMap<string, Value>> {
    const read = this.#read.get(day) ?? {
      ...{ inode: 0, bytes: 0, values: new Map<string, Value>(), reading: Promise.resolve() },
    }
    this.#read.delete(day)
    this.#read.set(day, read)
    for (const old of [...this.#read.keys()].slice(0, -this.#daysKept)) this.#read.delete(old)
    read.reading = read.reading.catch(() => {}).then(async () => this.#readOn(day, read))
    await (orPart ? read.reading.catch(() => {}) : read.reading)
    return read.values
  }

  async #readOn(day: string, read: Read<Value>): Promise<void> {
    const path = this.#journal.path(day)
    const info = await stat(path).catch(ignoreMissing)
    const { ino: inode, size } = info ?? { ino: 0, size: 0 }
    if (inode !== read.inode || size < read.bytes)
      Object.assign(read, { inode, bytes: 0, values: new Map() })
    if (size === read.bytes) return
    for await (const { line, until } of linesFrom<Line>(path, read.bytes)) {
      this.#add(line, read.values)
      read.bytes = until
    }
  }
}

/** The whole lines of a file behind so many bytes, each with the number of bytes up to its end. */
async function* linesFrom<Line>(
  path: string,
  bytes: number,
): AsyncGenerator<{ line: Partial<Line>; until: number }> {
  let rest: Buffer = Buffer.alloc(0)
  let until = bytes
  for await (const piece of createReadStream(path, { start: bytes })) {
    const content = Buffer.concat([rest, piece as Buffer])
    let begin = 0
    for (let end = content.indexOf(newline); end >= 0; end = content.indexOf(newline, begin)) {
      until += end + 1 - begin
      const line = parseLine<Line>(content.toString('utf8', begin, end))
      begin = end + 1
      if (line) yield { line, until }
    }
    rest = content.subarray(begin)
  }
}
