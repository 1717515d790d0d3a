import type { Track } from '../mp4/fragmented-mp4.ts'
import type { NewTime } from '../mp4/plain-mp4.ts'
import type { FrameTimes, TimeTable } from '../segments/closed-segments.ts'

/** So much longer than the picture the sound of a file may be: a stray time stamp is no more. */
const soundBehindSeconds = 0.5

/** How the recorder has seen the frames of a file come, as a map of the times in it. */
export function newTimes(
  tracks: Track[],
  { by, picture, sound, end }: FrameTimes,
): { picture: NewTime; sound: NewTime } {
  const video = tracks.find(({ header }) => header.type === 'video')
  const ofPicture = by === 'number' && video ? byNumber(video, picture) : byTable(picture)
  const ofSound = sound ? byTable(sound) : ofPicture
  const latest = end + soundBehindSeconds
  return { picture: ofPicture, sound: (seconds) => Math.min(ofSound(seconds), latest) }
}

/** In proportion between two pairs; beyond the ends time goes on as it is. */
function byTable(table: TimeTable): NewTime {
  return (seconds) => {
    let [low, high] = [0, table.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((table[middle]?.[0] ?? 0) < seconds) low = middle + 1
      else high = middle
    }
    const [before, behind] = [table[low - 1], table[low]]
    if (before && behind) {
      const share = (seconds - before[0]) / (behind[0] - before[0])
      return before[1] + share * (behind[1] - before[1])
    }
    const end = behind ?? before
    return end ? end[1] + seconds - end[0] : seconds
  }
}

/** Where time stamps say nothing, the frames' numbers are in their place. */
function byNumber({ header, samples }: Track, table: TimeTable): NewTime {
  const ofNumber = byTable(table)
  const stamps: TimeTable = []
  for (const [number, ticks] of samples.times.entries())
    stamps.push([ticks / header.ticksPerSecond, ofNumber(number)])
  return byTable(stamps)
}
