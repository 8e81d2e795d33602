"""A LangGraph agent whose tools are governed by Aegis.

The graph is the usual one (model -> tools -> model), and the tools are ordinary functions that call
an HTTP API. The only thing Aegis asks of them is the base URL and the bearer token:

    AEGIS_URL    base URL of the gateway, e.g. http://127.0.0.1:8080
    AEGIS_TOKEN  what `aegis token issue finance-agent` printed

A refused call is an ordinary tool error for the model: it reads the reason and can change its plan.

The model here is a script, so that the example runs without an API key; put any chat model with
`bind_tools` in its place.
"""

import json
import os
import sys

import httpx
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

payments = httpx.Client(
    base_url=os.environ["AEGIS_URL"] + "/tools/stripe-payments",
    headers={"Authorization": "Bearer " + os.environ["AEGIS_TOKEN"]},
    timeout=30,
)


def call_payments_api(action: str, **params) -> str:
    """POSTs the params to the action; a refusal is raised with the problem's detail."""
    answer = payments.post("/" + action, json=params)
    if answer.is_success:
        return answer.text
    problem = answer.json()
    raise ToolException(
        f"refused ({problem.get('reason', answer.status_code)}): {problem.get('detail', '')}"
    )


@tool
def create_payment(amount: int, currency: str) -> str:
    """Pays `amount` in whole units of `currency`."""
    return call_payments_api("create_payment", amount=amount, currency=currency)


@tool
def close_account(account: str) -> str:
    """Closes a customer's account for good."""
    return call_payments_api("close_account", account=account)


TOOLS = [create_payment, close_account]


class ScriptedModel:
    """Asks for one tool call after the other, then sums up what came of them."""

    def __init__(self) -> None:
        self.script = [
            ("create_payment", {"amount": 4200, "currency": "usd"}),
            ("create_payment", {"amount": 9000, "currency": "usd"}),
            ("close_account", {"account": "acct_42"}),
        ]

    def invoke(self, messages: list) -> AIMessage:
        turn = sum(isinstance(message, AIMessage) for message in messages)
        if turn < len(self.script):
            name, args = self.script[turn]
            return AIMessage(
                content="", tool_calls=[{"name": name, "args": args, "id": f"call_{turn}"}]
            )
        results = [message for message in messages if isinstance(message, ToolMessage)]
        done = sum(message.status != "error" for message in results)
        return AIMessage(content=f"{done} of {len(results)} steps done.")


def build_graph(model: ScriptedModel):
    """model -> tools -> model, until the model asks for no more tools."""
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode(TOOLS, handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", lambda state: "tools" if state["messages"][-1].tool_calls else END
    )
    graph.add_edge("tools", "model")
    return graph.compile()


def main() -> int:
    state = build_graph(ScriptedModel()).invoke(
        {"messages": [HumanMessage("Pay the two open invoices, then tidy up.")]}
    )
    for message in state["messages"]:
        if isinstance(message, AIMessage) and message.tool_calls:
            call = message.tool_calls[0]
            print(f"model  -> {call['name']} {json.dumps(call['args'])}")
        elif isinstance(message, ToolMessage):
            print(f"tool   <- [{message.status}] {message.content.strip()}")
        elif isinstance(message, AIMessage):
            print(f"answer    {message.content}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
