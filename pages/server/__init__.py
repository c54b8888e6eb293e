"""What stands between a browser and Streamlit: who may come in, as whom, and what the browser may load."""
