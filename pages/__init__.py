"""The pages: Streamlit lives here and in app.py, nowhere else; they talk to engine.api in plain data."""
