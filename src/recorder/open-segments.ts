import { randomUUID } from 'node:crypto'
import { open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { localTime } from '../daemon/local-time.ts'
import type { Log } from '../daemon/logger.ts'
import type { OpenFiles } from '../daemon/open-files.ts'
import type { ClosedSegment, ClosedSegments } from '../segments/closed-segments.ts'
import { ignoreMissing, moveInto, syncFolder, type Folders } from '../segments/folders.ts'
import { claimedName, closedName, parseSegmentName } from '../segments/segment-name.ts'

/** What is known of a segment by whoever recorded it. */
export type SegmentFacts = Omit<ClosedSegment, 'device' | 'inode' | 'bytes'>

/** A segment that has left `open/`. */
export interface LeftOpen {
  /** Its name in `recordings/`. */
  file: string
  bytes: number
}

/** Moves segments from `recordings/open/` to `recordings/` once nobody writes to them any more. */
export class OpenSegments {
  readonly #folders: Folders
  readonly #closed: ClosedSegments
  readonly #log: Log

  constructor(folders: Folders, deps: { closed: ClosedSegments; log: Log }) {
    this.#folders = folders
    this.#closed = deps.closed
    this.#log = deps.log
  }

  /** Gives a segment that FFmpeg has just begun a name that FFmpeg can't overwrite. */
  async claim(file: string): Promise<string> {
    const claimed = claimedName(file, randomUUID().slice(0, 8))
    await rename(join(this.#folders.open, file), join(this.#folders.open, claimed))
    return claimed
  }

  /** Returns when the names of those that are there now are on the disk. */
  async syncNames(): Promise<void> {
    await syncFolder(this.#folders.open)
  }

  /** Opens one to read it, whatever becomes of its name; undefined if it isn't there. */
  async read(claimed: string): Promise<FileHandle | undefined> {
    return open(join(this.#folders.open, claimed), 'r').catch(ignoreMissing)
  }

  /**
   * Closes one segment, by the name that its facts give it; undefined if it is empty, and deleted, or
   * somebody else has closed it.
   */
  async close(claimed: string, facts?: SegmentFacts): Promise<LeftOpen | undefined> {
    const source = join(this.#folders.open, claimed)
    const info = await stat(source).catch(ignoreMissing)
    if (!info) return undefined
    if (info.size === 0) {
      this.#log.debug({ file: closedName(claimed) }, 'empty segment deleted')
      await unlink(source).catch(ignoreMissing)
      return undefined
    }
    const file = facts?.file ?? closedName(claimed)
    if (facts) {
      const line = { ...facts, device: info.dev, inode: info.ino, bytes: info.size }
      // By the day of the name, since it is looked for by that.
      await this.#closed.append(line, localTime(Date.parse(facts.start)).date)
    }
    const target = await moveInto(this.#folders.recordings, source, file)
    return target ? { file: basename(target), bytes: info.size } : undefined
  }

  /** The segments that are in `open/`, oldest first. */
  async list(): Promise<string[]> {
    const files = (await readdir(this.#folders.open).catch(ignoreMissing)) ?? []
    return files.filter((file) => parseSegmentName(closedName(file)) !== undefined).sort()
  }

  /**
   * What an earlier run has left behind and nobody has open. Where open files can't be seen that
   * is nothing: the uploader takes such files once they have been quiet for long.
   */
  async abandoned(openFiles: OpenFiles): Promise<string[]> {
    const files = await this.list()
    const inUse = await openFiles.at(files.map((file) => join(this.#folders.open, file)))
    if (!inUse) return []
    const busy = new Set(inUse.map(({ path }) => basename(path)))
    return files.filter((file) => !busy.has(file))
  }
}
