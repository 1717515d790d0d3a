import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { readFragmentedMp4, type FragmentedMp4 } from '../../src/mp4/fragmented-mp4.ts'
import { PlainMp4 } from '../../src/mp4/plain-mp4.ts'

const run = promisify(execFile)
const never = new AbortController().signal

export interface Packet {
  /** Stream, size, flags and a hash of the content. */
  content: string
  /** From the first presentation in the file. */
  ptsMs: number
  dtsMs: number
}

/** All packets of a file, stream by stream, as a player would read them. */
export async function packetsOf(path: string): Promise<Packet[]> {
  const fields = 'stream_index,pts_time,dts_time,size,flags,data_hash'
  const args = ['-v', 'error', '-f', 'mp4', '-show_packets', '-show_data_hash', 'md5']
  const shown = ['-show_entries', `packet=${fields}`, '-of', 'csv=p=0', path]
  const { stdout } = await run('ffprobe', [...args, ...shown], { maxBuffer: 1 << 28 })
  const lines = stdout
    .trim()
    .split('\n')
    // What newer versions say of side data comes behind.
    .map((line) => line.split(',').slice(0, 6))
  const firstMs = Math.min(...lines.map(([, pts]) => Number(pts) * 1000))
  return lines
    .map(([stream = '', pts, dts, ...content]) => ({
      content: [stream, ...content].join(' '),
      ptsMs: Number(pts) * 1000 - firstMs,
      dtsMs: Number(dts) * 1000 - firstMs,
    }))
    .sort((a, b) => Number(a.content[0]) - Number(b.content[0]))
}

/** Where two lists of packets differ, by content or by more than a millisecond. */
export function firstDifference(a: Packet[], b: Packet[]): string | undefined {
  if (a.length !== b.length) return `${a.length} packets, and ${b.length}`
  // ffprobe rounds each to a microsecond.
  const mostMs = 1.003
  const at = a.findIndex((packet, index) => {
    const other = b[index]
    return (
      packet.content !== other?.content ||
      !(Math.abs(packet.ptsMs - other.ptsMs) <= mostMs) ||
      !(Math.abs(packet.dtsMs - other.dtsMs) <= mostMs)
    )
  })
  return at < 0 ? undefined : `${at}: ${JSON.stringify(a[at])}, and ${JSON.stringify(b[at])}`
}

/** What is read of a file, written plain to a path if that can be done. */
export async function writePlain(path: string, plain: string): Promise<FragmentedMp4 | undefined> {
  const source = await open(path, 'r')
  try {
    const movie = await readFragmentedMp4(source)
    if (!movie) return undefined
    const tracks = movie.tracks.map((track) => ({ ...track, source }))
    await new PlainMp4({ ...movie, tracks }).write(plain, () => {}, never)
    return movie
  } finally {
    await source.close()
  }
}
