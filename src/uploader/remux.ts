import { probeMedia, type Media } from './media-probe.ts'
import { runTool, type MediaTools } from './run-tool.ts'

/** Why the old file is kept, whoever has written the new one. */
export const holdsLess = 'a remux of it does not hold the same packets'

interface Remux {
  tools: MediaTools
  path: string
  temporary: string
  media: Media
}

/** Writes a file anew with FFmpeg, its index in front; or says why it can't be had. */
export async function remux(wanted: Remux, signal: AbortSignal): Promise<string | undefined> {
  const { tools, temporary, media } = wanted
  const end = await runTool(tools.ffmpeg, remuxArgs(wanted), 30 * 60_000, signal)
  if (end.code !== 0) {
    const full = /No space left on device|Disk quota exceeded/.test(end.stderr)
    return full ? 'no room for a copy' : 'FFmpeg could not remux it'
  }
  const after = await probeMedia(tools.ffprobe, temporary, signal)
  return 'playable' in after && samePackets(media, after.playable) ? undefined : holdsLess
}

function remuxArgs({ path, temporary, media }: Remux): string[] {
  const appleTags = media.streams
    .filter(({ type }) => type === 'video')
    .flatMap(({ codec }, index) => (codec === 'hevc' ? [`-tag:v:${index}`, 'hvc1'] : []))
  return [
    ...['-v', 'error', '-nostdin', '-y', '-f', 'mp4', '-protocol_whitelist', 'file'],
    ...['-i', `file:${path}`, '-map', '0', '-c', 'copy', ...appleTags],
    ...['-movflags', '+faststart', '-f', 'mp4', `file:${temporary}`],
  ]
}

function samePackets(a: Media, b: Media): boolean {
  const count = ({ streams }: Media): string =>
    streams.map(({ type, codec, packets }) => `${type} ${codec} ${packets}`).join('\n')
  return count(a) === count(b)
}
