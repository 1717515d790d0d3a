import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { localTime } from '../daemon/local-time.ts'
import { hasCode, ignoreMissing } from '../segments/folders.ts'
import { Journal, parseLine } from '../segments/journal.ts'
import { earlierNames, parseSegmentName } from '../segments/segment-name.ts'
import { DiskReserve } from './disk-reserve.ts'

/** That a file's content was seen, verified, in S3. */
export interface LedgerLine {
  file: string
  camera: string
  /** ISO 8601 with the local offset. */
  start: string
  durationSeconds: number
  bytes: number
  /** 8 hexadecimal digits. */
  crc32: string
  endpoint: string
  bucket: string
  key: string
  etag: string
  /** ISO 8601, by the store's clock. */
  uploadedAt: string
}

/** A backlog is shipped from both of its ends, while uploaded/ is pruned. */
const mostDaysRead = 3

/** What is in S3: a journal of lines in `data/ledger/`, and what they say of a file. */
export class Ledger {
  readonly #journal: Journal<LedgerLine>
  /** For lines on a full disk. */
  readonly reserve: DiskReserve
  /** The day that was asked for last comes first. */
  #read: Read[] = []

  constructor(folder: string) {
    this.#journal = new Journal(folder)
    this.reserve = new DiskReserve(`${folder}.reserve`)
  }

  /** Returns when the line is on the disk. */
  async append(line: LedgerLine, day: string): Promise<void> {
    try {
      await this.#journal.append([line], day)
    } catch (error) {
      if (!hasCode(error, 'ENOSPC') || !(await this.reserve.give())) throw error
      await this.#journal.append([line], day)
    }
  }

  /** The days of which something is in S3, in their order. */
  async days(): Promise<string[]> {
    return this.#journal.days()
  }

  /** All that is known of a day. */
  async linesOn(day: string): Promise<LedgerLine[]> {
    return (await this.#journal.lines(day)).filter(isProof)
  }

  /** Returns when all lines of a day are on the disk. */
  async sync(day: string): Promise<void> {
    await this.#journal.sync(day)
  }

  /** What is known of a file of this name, or of one it may have had earlier, whatever its content. */
  async linesOf(file: string, day: string): Promise<LedgerLine[]> {
    const path = this.#journal.path(day)
    const info = await stat(path).catch(ignoreMissing)
    let read = this.#read.find((known) => known.day === day && known.inode === info?.ino)
    if (!read || (info?.size ?? 0) < read.bytes)
      read = { day, inode: info?.ino, bytes: 0, lines: new Map() }
    this.#read = [read, ...this.#read.filter((known) => known.day !== day)].slice(0, mostDaysRead)
    if (info && info.size > read.bytes) await readOn(path, read)
    return [file, ...earlierNames(file)].flatMap((name) => read.lines.get(name) ?? [])
  }
}

/** The lines of a day, as far as they have been read: nothing is ever added but at the end. */
interface Read {
  day: string
  inode: number | undefined
  bytes: number
  lines: Map<string, LedgerLine[]>
}

async function readOn(path: string, read: Read): Promise<void> {
  const start = read.bytes
  const pieces: Buffer[] = []
  for await (const piece of createReadStream(path, { start })) pieces.push(piece as Buffer)
  // Somebody else may have read some of it meanwhile.
  const content = Buffer.concat(pieces).subarray(read.bytes - start)
  const whole = content.subarray(0, content.lastIndexOf('\n') + 1)
  read.bytes += whole.length
  for (const json of whole.toString().split('\n')) {
    const line = parseLine<LedgerLine>(json)
    if (line && isProof(line))
      read.lines.set(line.file, [...(read.lines.get(line.file) ?? []), line])
  }
}

/** The day of a segment, `2025-01-25`: of its name, or of its mtime where the name has none. */
export function segmentDay(file: string, mtimeMs: number): string {
  const date = parseSegmentName(file)?.date
  if (!date) return localTime(mtimeMs).date
  return `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`
}

function isProof(line: Partial<LedgerLine>): line is LedgerLine {
  const { file, bytes, crc32 } = line
  return typeof file === 'string' && typeof bytes === 'number' && typeof crc32 === 'string'
}
