// Writes down what is said in a recording: transcribe MODEL SOUND.wav
#include <hearth/speech.hpp>

#include <iostream>

int main(int count, char** words) {
  if (count < 3) {
    std::cerr << "usage: transcribe MODEL SOUND.wav\n";
    return 2;
  }
  try {
    hearth::Speech speech(words[1]);
    std::cout << speech.transcribe(words[2]) << '\n';
  } catch (const hearth::Failure& failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
