import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, rm, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isoLocal } from '../daemon/local-time.ts'
import { describeError } from '../daemon/logger.ts'
import { known as present } from '../mp4/boxes.ts'
import { divideMovie } from '../mp4/movie-parts.ts'
import { pictureParts } from '../mp4/picture-parts.ts'
import { PlainMp4, type PlainMovie } from '../mp4/plain-mp4.ts'
import type { ClosedSegment, ClosedSegments } from '../segments/closed-segments.ts'
import { moveInto, syncFile, type Folders } from '../segments/folders.ts'
import { parseSegmentName, segmentName } from '../segments/segment-name.ts'
import { segmentDay } from './ledger.ts'
import { startMs } from './object-description.ts'

/** A part of a segment with one picture, which becomes a file of its own; most often it is the whole. */
export interface SegmentPart {
  plain: PlainMp4
  /** When it begins in the segment. */
  startSeconds: number
  durationSeconds: number
}

/** A segment as its file and the recorder describe it. */
interface Segment {
  path: string
  before: Stats
  known: ClosedSegment | undefined
}

/** The parts into which a segment's picture divides it. */
export async function segmentParts(
  movie: PlainMovie,
  { path, before, known }: Segment,
): Promise<{ first: SegmentPart; later: SegmentPart[] }> {
  const picture = present(movie.tracks[0])
  const pictures = await pictureParts(picture.source, picture)
  // The parts of a file without a name of ours would have none either.
  const isDivisible = ownerOf({ path, before, known }) !== undefined
  const movies = divideMovie(movie, isDivisible ? pictures : pictures.slice(0, 1))
  const [first, ...later] = movies.map((part, index) => {
    const plain = new PlainMp4(part.movie)
    const { startSeconds } = part
    const end = movies[index + 1]?.startSeconds ?? (known?.times && known.durationSeconds)
    const durationSeconds = end === undefined ? plain.durationSeconds : end - startSeconds
    return { plain, startSeconds, durationSeconds: Number(durationSeconds.toFixed(6)) }
  })
  return { first: present(first), later }
}

interface LaterPartsDeps {
  folders: Pick<Folders, 'recordings'>
  closed: Pick<ClosedSegments, 'append'>
  /** Writes a part, or says why it can't be had. */
  write: (plain: PlainMp4, temporary: string) => Promise<string | undefined>
}

/**
 * The files of a segment's parts behind the first, from temporaries to names in `recordings/`. They get
 * those before the first part takes the place of the segment: after a crash in between it is divided
 * once more, and each is found to be there already.
 */
export class LaterParts {
  readonly #deps: LaterPartsDeps
  readonly #written: { temporary: string; file: string }[] = []

  constructor(deps: LaterPartsDeps) {
    this.#deps = deps
  }

  /** Writes them beside the temporary file of the first; or says why one can't be had. */
  async write(parts: SegmentPart[], segment: Segment, beside: string): Promise<string | undefined> {
    const { camera = '', startMs: beganMs = 0 } = ownerOf(segment) ?? {}
    const { atimeMs, mtimeMs } = segment.before
    for (const { plain, startSeconds, durationSeconds } of parts) {
      const partMs = beganMs + startSeconds * 1000
      const file = segmentName(camera, partMs)
      const temporary = join(dirname(beside), `finalize-${randomUUID()}.mp4`)
      this.#written.push({ temporary, file })
      const failure = await this.#deps.write(plain, temporary)
      if (failure !== undefined) return failure
      await utimes(temporary, atimeMs / 1000, mtimeMs / 1000)
      const facts = { camera, file, start: isoLocal(partMs), durationSeconds, ...countsOf(plain) }
      await noteFinal(this.#deps.closed, facts, temporary)
    }
    return undefined
  }

  /** Gives them their names, once the first, in a temporary file, is on the disk. */
  async place(first: string): Promise<void> {
    if (this.#written.length > 0) await syncFile(first)
    for (const { temporary, file } of this.#written)
      try {
        await moveInto(this.#deps.folders.recordings, temporary, file)
      } catch (error) {
        // No full disk, because of which the whole would be uploaded as it is, beside these.
        throw new Error(`${file} cannot be placed: ${describeError(error)}`, { cause: error })
      }
  }

  async removeTemporaries(): Promise<void> {
    for (const { temporary } of this.#written) await rm(temporary, { force: true })
  }
}

/** Notes what is found of a new file after a crash, before it is uploaded. */
export async function noteFinal(
  closed: Pick<ClosedSegments, 'append'>,
  known: Omit<ClosedSegment, 'device' | 'inode' | 'bytes'>,
  path: string,
): Promise<void> {
  const { times: _, ...facts } = known
  const { dev: device, ino: inode, size: bytes } = await lstat(path)
  const day = segmentDay(facts.file, Date.parse(facts.start))
  await closed.append({ ...facts, device, inode, bytes, isFinal: true }, day)
}

/** How many frames and samples of sound a file holds. */
export function countsOf({ tracks }: PlainMp4): Pick<ClosedSegment, 'frames' | 'sounds'> {
  const count = (wanted: string): number =>
    tracks.find(({ header }) => header.type === wanted)?.samples.length ?? 0
  return { frames: count('video'), sounds: count('audio') }
}

/** Camera and start of a segment; undefined where nothing says them. */
function ownerOf({
  path,
  before,
  known,
}: Segment): { camera: string; startMs: number } | undefined {
  if (known) return { camera: known.camera, startMs: Date.parse(known.start) }
  const file = basename(path)
  const camera = parseSegmentName(file)?.camera
  return camera === undefined
    ? undefined
    : { camera, startMs: startMs({ file, mtimeMs: before.mtimeMs }, 0) }
}
