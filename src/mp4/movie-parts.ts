import type { PicturePart } from './picture-parts.ts'
import { firstShown, startOf, type NewTime, type PlainMovie, type PlainTrack } from './plain-mp4.ts'

/** A movie that is a part of another. */
export interface MoviePart {
  movie: PlainMovie
  /** When it begins in the other. */
  startSeconds: number
}

/** Divides a movie where its picture, the first track, is divided; each part has its own sound and begins with its first frame. */
export function divideMovie({ tracks, ...common }: PlainMovie, parts: PicturePart[]): MoviePart[] {
  const [picture, ...sounds] = tracks
  const [whole, ...later] = parts
  if (!picture || !whole) return []
  if (later.length === 0) {
    const movie = { ...common, tracks: [{ ...picture, header: whole.header }, ...sounds] }
    return [{ movie, startSeconds: 0 }]
  }
  const startSeconds = startOf(tracks)
  const newTimeOf = ({ newTime }: PlainTrack): NewTime =>
    newTime ?? ((seconds) => seconds - startSeconds)
  const pieces = parts.map(({ first, header }, index) => {
    const samples = picture.samples.slice(first, parts[index + 1]?.first ?? Infinity)
    const at = newTimeOf(picture)(firstShown(samples) / header.ticksPerSecond)
    return { header, samples, startSeconds: index === 0 ? 0 : at }
  })
  return pieces.map(({ header, samples, startSeconds: from }, index) => {
    const end = pieces[index + 1]?.startSeconds
    const shifted = (track: PlainTrack): PlainTrack => {
      const endSeconds = track === picture ? (end ?? track.endSeconds) : track.endSeconds
      const newTime = newTimeOf(track)
      return {
        ...{ ...track, newTime: (seconds) => newTime(seconds) - from },
        ...(endSeconds === undefined ? {} : { endSeconds: endSeconds - from }),
      }
    }
    const own = tracks.flatMap((track) => {
      if (track === picture) return [{ ...shifted(track), header, samples }]
      const sound = soundBetween(track, newTimeOf(track), index === 0 ? -Infinity : from, end)
      return sound.length === 0 ? [] : [{ ...shifted(track), samples: sound }]
    })
    return { movie: { ...common, tracks: own }, startSeconds: from }
  })
}

function soundBetween(
  { header, samples }: PlainTrack,
  newTime: NewTime,
  from: number,
  end = Infinity,
): PlainTrack['samples'] {
  const at = samples.times.map((ticks) => newTime(ticks / header.ticksPerSecond))
  const indexOf = (seconds: number): number => {
    const index = at.findIndex((time) => time >= seconds)
    return index < 0 ? samples.length : index
  }
  return samples.slice(indexOf(from), indexOf(end))
}
