import { localTime } from '../daemon/local-time.ts'
import { hasCode } from '../segments/folders.ts'
import { Journal, JournalReader } from '../segments/journal.ts'
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
  readonly #reader: JournalReader<LedgerLine, LedgerLine[]>

  constructor(folder: string) {
    this.#journal = new Journal(folder)
    this.#reader = new JournalReader(this.#journal, mostDaysRead, (line, lines) => {
      if (isProof(line)) lines.set(line.file, [...(lines.get(line.file) ?? []), line])
    })
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
    const lines = await this.#reader.of(day)
    return [file, ...earlierNames(file)].flatMap((name) => lines.get(name) ?? [])
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
