"""openai, anthropic, ollama, LangChain and LiteLLM, as they come from PyPI."""
import json
import os
import unittest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it asks the network for prices otherwise

import anthropic
import litellm
import ollama
import openai
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

import serving

litellm.suppress_debug_info = True
LONG = "word " * 20_000
SAID = [{"role": "user", "content": "How do I serve a model?"}]
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]


class Boat(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    length: int = Field(ge=1, le=400)
    colours: list[str] = Field(max_length=3)
    berth: int | None


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: where
    """
    return "sunny"


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tearDownModule():
    serving.stop_all()


class OpenAi(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=serving.builtin() + "/v1", api_key="none", max_retries=0)
        self.tools = openai.OpenAI(base_url=serving.scripted() + "/v1", api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()
        self.tools.close()

    def test_chat(self):
        plain = self.client.chat.completions.create(model="builtin", messages=SAID, temperature=0)
        self.assertIn("hearth serve", plain.choices[0].message.content)
        text, usage = "", None
        for chunk in self.client.chat.completions.create(
                model="builtin", messages=SAID, temperature=0, stream=True,
                stream_options={"include_usage": True}):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage or usage
        self.assertEqual(text, plain.choices[0].message.content)
        self.assertEqual(usage.completion_tokens, plain.usage.completion_tokens)

    def test_tools(self):
        function = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
        ask = dict(model="scripted", messages=ASKED, tools=[function])
        first = self.tools.chat.completions.create(**ask).choices[0]
        self.assertEqual(first.finish_reason, "tool_calls")
        call = first.message.tool_calls[0]
        self.assertEqual((call.function.name, call.function.arguments), ("weather", '{"city": "Paris"}'))
        with self.tools.chat.completions.stream(**ask) as stream:
            streamed = stream.get_final_completion().choices[0].message
        self.assertEqual(streamed.tool_calls[0].function.arguments, call.function.arguments)
        self.assertEqual(streamed.content, first.message.content)
        more = [*ASKED, first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        last = self.tools.chat.completions.create(model="scripted", messages=more, tools=[function])
        self.assertEqual(last.choices[0].message.content, "It is sunny.")

    def test_structured(self):
        answer = self.client.chat.completions.parse(
            model="builtin", messages=SAID, response_format=Boat, temperature=1, seed=1, max_tokens=700)
        self.assertIsInstance(answer.choices[0].message.parsed, Boat)
        response = self.client.responses.parse(
            model="builtin", input="A boat.", text_format=Boat, temperature=1, max_output_tokens=700)
        self.assertIsInstance(response.output_parsed, Boat)

    def test_responses(self):
        first = self.client.responses.create(model="builtin", input="How do I serve a model?", temperature=0)
        self.assertIn("hearth serve", first.output_text)
        with self.client.responses.stream(model="builtin", input="How do I serve a model?",
                                          temperature=0) as stream:
            self.assertEqual(stream.get_final_response().output_text, first.output_text)
        again = self.client.responses.create(model="builtin", input="And then?", temperature=0,
                                             previous_response_id=first.id)
        self.assertGreater(again.usage.input_tokens, first.usage.input_tokens)

    def test_tools_that_run_there(self):
        def ask(approval):
            return dict(model="scripted", input="Add.", tools=[
                {"type": "mcp", "server_label": "calc", "require_approval": approval}])
        whole = self.tools.responses.create(**ask("never"))
        self.assertEqual([item.type for item in whole.output], ["mcp_list_tools", "mcp_call", "message"])
        self.assertEqual((whole.output[1].output, whole.output_text), ("42", "It is 42."))
        with self.tools.responses.stream(**ask("never")) as stream:
            streamed = stream.get_final_response()
        self.assertEqual([item.type for item in streamed.output], [item.type for item in whole.output])
        asked = self.tools.responses.create(**ask("always"))
        question = asked.output[-1]
        self.assertEqual(question.type, "mcp_approval_request")
        told = self.tools.responses.create(
            **{**ask("always"), "input": [{"type": "mcp_approval_response", "approve": True,
                                           "approval_request_id": question.id}]},
            previous_response_id=asked.id)
        self.assertEqual(told.output_text, "It is 42.")

    def test_embeddings(self):
        both = self.client.embeddings.create(model="builtin-embed", input=["a boat", "a ship"]).data
        one = self.client.embeddings.create(model="builtin-embed", input="a ship",
                                            encoding_format="float").data[0]
        self.assertEqual(len(both), 2)
        for a, b in zip(both[1].embedding, one.embedding):
            self.assertAlmostEqual(a, b, places=5)

    def test_transcriptions(self):
        with open(os.path.join(serving.SPEECH, "notes.wav"), "rb") as file:
            sound = ("notes.wav", file.read())
        ask = dict(model="tiny", file=sound, language="de")
        plain = self.client.audio.transcriptions.create(**ask)
        whole = self.client.audio.transcriptions.create(
            **ask, response_format="verbose_json", timestamp_granularities=["word", "segment"])
        self.assertEqual((whole.text, whole.language, whole.duration), (plain.text, "german", 3.0))
        self.assertTrue(all(0 <= s.start <= s.end <= 3.0 for s in whole.segments))
        self.assertEqual(" ".join(w.word for w in whole.words).split(), plain.text.split())
        self.assertIn("-->", self.client.audio.transcriptions.create(**ask, response_format="srt"))
        parts, done = "", None
        for event in self.client.audio.transcriptions.create(**ask, stream=True):
            parts += event.delta if event.type == "transcript.text.delta" else ""
            done = event.text if event.type == "transcript.text.done" else done
        self.assertEqual((parts.strip(), done), (plain.text, plain.text))
        self.assertTrue(self.client.audio.translations.create(model="whisper-1", file=sound).text)
        with self.assertRaises(openai.BadRequestError):
            self.client.audio.transcriptions.create(model="tiny", file=("a.wav", b"x"))

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError) as absent:
            self.client.chat.completions.create(model="none", messages=SAID)
        self.assertEqual(absent.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as long:
            self.client.chat.completions.create(model="builtin", messages=[{"role": "user", "content": LONG}])
        self.assertEqual(long.exception.code, "context_length_exceeded")
        for ask in (lambda: self.client.images.generate(prompt="a boat"),
                    lambda: self.client.moderations.create(input="a boat"),
                    lambda: self.client.audio.speech.create(model="tts-1", voice="alloy", input="a boat")):
            with self.assertRaises(openai.APIStatusError) as unable:
                ask()
            self.assertEqual(unable.exception.status_code, 501)


class Anthropic(unittest.TestCase):
    def setUp(self):
        self.client = anthropic.Anthropic(base_url=serving.builtin(), api_key="none", max_retries=0)
        self.tools = anthropic.Anthropic(base_url=serving.scripted(), api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()
        self.tools.close()

    def test_messages(self):
        ask = dict(model="builtin", max_tokens=200, messages=SAID, extra_body={"temperature": 0})
        plain = self.client.messages.create(**ask)
        self.assertIn("hearth serve", plain.content[0].text)
        with self.client.messages.stream(**ask) as stream:
            self.assertEqual("".join(stream.text_stream), plain.content[0].text)
            self.assertEqual(stream.get_final_message().usage.output_tokens, plain.usage.output_tokens)
        count = self.client.messages.count_tokens(model="builtin", messages=SAID)
        self.assertEqual(count.input_tokens, plain.usage.input_tokens + plain.usage.cache_read_input_tokens)

    def test_tools(self):
        ask = dict(model="scripted", max_tokens=200, messages=ASKED,
                   tools=[{"name": "weather", "input_schema": SCHEMA}])
        first = self.tools.messages.create(**ask)
        self.assertEqual(first.stop_reason, "tool_use")
        call = first.content[-1]
        self.assertEqual((call.name, call.input), ("weather", {"city": "Paris"}))
        with self.tools.messages.stream(**ask) as stream:
            self.assertEqual(stream.get_final_message().content[-1].input, call.input)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        last = self.tools.messages.create(**{**ask, "messages": [
            *ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]})
        self.assertEqual(last.content[0].text, "It is sunny.")

    def test_tools_that_run_there(self):
        ask = dict(model="scripted", max_tokens=200, messages=[{"role": "user", "content": "Add."}],
                   mcp_servers=[{"type": "url", "name": "calc", "url": ""}], betas=["mcp-client-2025-11-20"],
                   tools=[{"type": "mcp_toolset", "mcp_server_name": "calc"}])
        whole = self.tools.beta.messages.create(**ask)
        self.assertEqual([block.type for block in whole.content], ["mcp_tool_use", "mcp_tool_result", "text"])
        with self.tools.beta.messages.stream(**ask) as stream:
            streamed = stream.get_final_message()
        self.assertEqual([block.type for block in streamed.content], [block.type for block in whole.content])
        self.assertEqual(streamed.content[0].input, {"a": 40})

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.client.messages.create(model="none", max_tokens=5, messages=SAID)
        with self.assertRaisesRegex(anthropic.BadRequestError, "prompt is too long"):
            self.client.messages.create(model="builtin", max_tokens=5,
                                        messages=[{"role": "user", "content": LONG}])


class Ollama(unittest.TestCase):
    def setUp(self):
        self.client = ollama.Client(host=serving.builtin())
        self.tools = ollama.Client(host=serving.scripted())

    def test_chat(self):
        plain = self.client.chat(model="builtin", messages=SAID, options={"temperature": 0})
        self.assertIn("hearth serve", plain.message.content)
        parts = self.client.chat(model="builtin", messages=SAID, options={"temperature": 0}, stream=True)
        self.assertEqual("".join(part.message.content for part in parts), plain.message.content)

    def test_tools(self):
        first = self.tools.chat(model="scripted", messages=ASKED, tools=[weather])
        call = first.message.tool_calls[0].function
        self.assertEqual((call.name, call.arguments), ("weather", {"city": "Paris"}))
        parts = list(self.tools.chat(model="scripted", messages=ASKED, tools=[weather], stream=True))
        calls = [call for part in parts for call in part.message.tool_calls or []]
        self.assertEqual(calls[0].function.arguments, call.arguments)
        more = [*ASKED, first.message, {"role": "tool", "tool_name": "weather", "content": "sunny"}]
        self.assertEqual(self.tools.chat(model="scripted", messages=more, tools=[weather]).message.content,
                         "It is sunny.")

    def test_structured(self):
        answer = self.client.chat(model="builtin", messages=SAID, format=Boat.model_json_schema(),
                                  options={"temperature": 1, "seed": 1, "num_predict": 700})
        Boat.model_validate_json(answer.message.content)

    def test_embeddings_and_models(self):
        self.assertEqual(len(self.client.embed(model="builtin-embed", input=["a", "b"]).embeddings), 2)
        names = [model.model.removesuffix(":latest") for model in self.client.list().models]
        self.assertIn("builtin", names)
        self.assertIn("completion", self.client.show("builtin").capabilities)
        self.assertTrue(self.client.ps().models)

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError) as absent:
            self.client.chat(model="none", messages=SAID)
        self.assertEqual(absent.exception.status_code, 404)


class LangChain(unittest.TestCase):
    def models(self, url_of, name):
        url = url_of()
        return (ChatOpenAI(base_url=url + "/v1", api_key="none", model=name, temperature=0, max_retries=0),
                ChatOllama(base_url=url, model=name, temperature=0))

    def test_chat(self):
        for model in self.models(serving.builtin, "builtin"):
            with self.subTest(type(model).__name__):
                plain = model.invoke("How do I serve a model?").content
                self.assertIn("hearth serve", plain)
                self.assertEqual("".join(part.content for part in model.stream("How do I serve a model?")), plain)

    def test_tools(self):
        known = tool(weather)
        for model in self.models(serving.scripted, "scripted"):
            with self.subTest(type(model).__name__):
                bound = model.bind_tools([known])
                first = bound.invoke(ASKED)
                self.assertEqual(first.tool_calls[0]["args"], {"city": "Paris"})
                whole = None
                for part in bound.stream(ASKED):
                    whole = part if whole is None else whole + part
                self.assertEqual(whole.tool_calls[0]["args"], {"city": "Paris"})
                result = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"], name="weather")
                self.assertEqual(bound.invoke([("user", ASKED[0]["content"]), first, result]).content,
                                 "It is sunny.")

    def test_structured(self):
        for model in self.models(serving.builtin, "builtin"):
            with self.subTest(type(model).__name__):
                held = model.with_structured_output(Boat, method="json_schema")
                self.assertIsInstance(held.invoke("Describe a boat."), Boat)

    def test_embeddings(self):
        url = serving.builtin()
        for embedder in (OpenAIEmbeddings(base_url=url + "/v1", api_key="none", model="builtin-embed",
                                          check_embedding_ctx_length=False),
                         OllamaEmbeddings(base_url=url, model="builtin-embed")):
            with self.subTest(type(embedder).__name__):
                self.assertEqual(len(embedder.embed_documents(["a", "b"])), 2)

    def test_errors(self):
        absent = self.models(serving.builtin, "none")
        with self.assertRaises(openai.NotFoundError):
            absent[0].invoke("x")
        with self.assertRaises(ollama.ResponseError):
            absent[1].invoke("x")


class LiteLlm(unittest.TestCase):
    """What aider, and much else, asks with: one call for every interface."""
    function = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}

    def ways(self, url_of, name):
        url = url_of()
        for prefix, base in (("openai", url + "/v1"), ("ollama_chat", url), ("anthropic", url),
                             ("hosted_vllm", url + "/v1"), ("lm_studio", url + "/v1")):
            with self.subTest(prefix):
                yield dict(model=f"{prefix}/{name}", api_base=base, api_key="none", max_retries=0)

    def test_chat(self):
        for way in self.ways(serving.builtin, "builtin"):
            ask = dict(**way, messages=SAID, temperature=0, max_tokens=200)
            plain = litellm.completion(**ask)
            self.assertIn("hearth serve", plain.choices[0].message.content)
            self.assertGreater(plain.usage.completion_tokens, 0)
            text, end = "", None
            for part in litellm.completion(**ask, stream=True):
                text += part.choices[0].delta.content or ""
                end = part.choices[0].finish_reason or end
            self.assertEqual((text, end), (plain.choices[0].message.content, "stop"))

    def test_tools(self):
        for way in self.ways(serving.scripted, "scripted"):
            ask = dict(**way, messages=ASKED, tools=[self.function], max_tokens=200)
            first = litellm.completion(**ask).choices[0]
            self.assertEqual(first.finish_reason, "tool_calls")
            call = first.message.tool_calls[0]
            self.assertEqual((call.function.name, json.loads(call.function.arguments)),
                             ("weather", {"city": "Paris"}))
            whole = litellm.stream_chunk_builder(list(litellm.completion(**ask, stream=True)))
            streamed = whole.choices[0].message.tool_calls[0]
            self.assertEqual((streamed.function.name, json.loads(streamed.function.arguments)),
                             ("weather", {"city": "Paris"}))
            result = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "sunny"}
            last = litellm.completion(**{**ask, "messages": [*ASKED, first.message.model_dump(), result]})
            self.assertEqual(last.choices[0].message.content, "It is sunny.")

    def test_structured(self):
        for way in self.ways(serving.builtin, "builtin"):
            if way["model"].startswith("anthropic"):
                continue  # it asks for a schema by a tool there, which the built-in model cannot call
            answer = litellm.completion(**way, messages=SAID, response_format=Boat, temperature=1, seed=1,
                                        max_tokens=700)
            Boat.model_validate_json(answer.choices[0].message.content)

    def test_embeddings(self):
        url = serving.builtin()
        for model, base in (("openai/builtin-embed", url + "/v1"), ("ollama/builtin-embed", url)):
            with self.subTest(model):
                made = litellm.embedding(model=model, api_base=base, api_key="none", input=["a", "b"])
                self.assertEqual(len(made.data), 2)

    def test_errors(self):
        for way in self.ways(serving.builtin, "none"):
            # It has no class for what Ollama refuses.
            kind = litellm.APIConnectionError if "ollama" in way["model"] else litellm.NotFoundError
            with self.assertRaises(kind):
                litellm.completion(**way, messages=SAID, max_tokens=5)
        for way in self.ways(serving.builtin, "builtin"):
            if "ollama" in way["model"]:
                continue
            with self.assertRaises(litellm.ContextWindowExceededError):
                litellm.completion(**way, messages=[{"role": "user", "content": LONG}], max_tokens=5)


if __name__ == "__main__":
    unittest.main()
